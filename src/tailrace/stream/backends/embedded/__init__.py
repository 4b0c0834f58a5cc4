"""The embedded backend: SQLite files, one row a block, group commit."""

from tailrace.stream.backends.embedded.stream import EmbeddedStream, open_embedded

__all__ = ["EmbeddedStream", "open_embedded"]
