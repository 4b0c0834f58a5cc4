"""Measurements on the machine at hand; no tests. `tailrace bench --help` lists the pieces."""
