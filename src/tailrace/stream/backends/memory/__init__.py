"""The in-memory backend: one process, nothing durable; for tests, trials and as the model of the contract."""

from tailrace.stream.backends.memory.stream import MemoryStream

__all__ = ["MemoryStream"]
