"""The durable sharded stream: append, read, seal, trim. `base` is the seam; `backends/` are its makes."""
