"""Live views of logs, computed by two layers and compared. Begin at `tailrace.cli` or `docs/architecture.md`."""

__version__ = "0.1.0"
