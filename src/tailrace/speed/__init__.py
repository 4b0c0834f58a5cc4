"""The speed layer: states of every record that batch does not cover yet, visible well under a second after the ack.

`base` is the seam and the values that serving reads; `backends/embedded` computes them in the node with DuckDB micro-batches.
It shares the decoded records and the aggregate definitions with batch, and nothing else.
"""
