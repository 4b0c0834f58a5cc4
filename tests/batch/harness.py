"""The lakes under test, as the contract suite opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.runtime.clock import ManualClock, SystemClock
from tailrace.testing.contracts.stream_samples import FIELDS

if TYPE_CHECKING:
    from pathlib import Path


class IcebergHarness:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lake"
        self.clock = ManualClock(SystemClock().now_us())

    def open_writer(self) -> IcebergLake:
        return IcebergLake(self.folder, FIELDS, self.clock)

    def open_reader(self) -> IcebergReader:
        return IcebergReader(self.folder)
