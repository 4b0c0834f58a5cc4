"""Every make of the stream keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.testing.contracts.stream import DurableCases, QueueCases, StreamContract
from tests.stream.harness import EmbeddedHarness, MemoryHarness

if TYPE_CHECKING:
    from pathlib import Path


class TestEmbedded(StreamContract, DurableCases, QueueCases):
    def make_harness(self, folder: Path) -> EmbeddedHarness:
        return EmbeddedHarness(folder)


class TestMemory(StreamContract):
    def make_harness(self, folder: Path) -> MemoryHarness:
        return MemoryHarness()
