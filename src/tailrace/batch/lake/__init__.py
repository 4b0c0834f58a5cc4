"""Makes of the lake. Table formats and their SDKs are named here and nowhere else."""
