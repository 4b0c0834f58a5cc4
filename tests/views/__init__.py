"""The view compiler: what it refuses, what it plans, what it prints, and what its numbers are."""
