"""Users' SQL: the query process. One read-only statement over `logs` and the views, in a DuckDB that can reach nothing else."""
