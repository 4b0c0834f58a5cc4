"""Measurements on the machine at hand; no tests. `python -m benchmarks.run --help` lists the pieces."""
