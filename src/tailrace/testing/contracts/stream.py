"""The contract of a stream backend, as tests.

A backend is checked by a subclass that says how to make one:

    class TestMine(StreamContract):
        def make_harness(self, folder):
            return MyHarness(folder)          # see `stream_harness.StreamHarness`

`StreamContract` is what every backend does. Add `DurableCases` for one whose data outlive a handle and that several handles
may share, and `QueueCases` for one that queues what is not yet durable.
"""

from __future__ import annotations

from tailrace.testing.contracts.stream_epochs import DedupeCases, EpochCases
from tailrace.testing.contracts.stream_harness import QueueingHarness, StreamHarness
from tailrace.testing.contracts.stream_hash import HashCases
from tailrace.testing.contracts.stream_records import PositionCases, RecordCases
from tailrace.testing.contracts.stream_shards import LineageCases, ShardCases
from tailrace.testing.contracts.stream_sharing import ConcurrencyCases, DurableCases, QueueCases

__all__ = ["DurableCases", "QueueCases", "QueueingHarness", "StreamContract", "StreamHarness"]


class StreamContract(
    RecordCases, PositionCases, EpochCases, DedupeCases, ConcurrencyCases, ShardCases, LineageCases, HashCases
):
    """What every backend does."""
