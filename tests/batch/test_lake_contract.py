"""Every make of the lake keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.testing.contracts.lake import LakeContract
from tests.batch.harness import IcebergHarness

if TYPE_CHECKING:
    from pathlib import Path


class TestIceberg(LakeContract):
    def make_harness(self, folder: Path) -> IcebergHarness:
        return IcebergHarness(folder)
