"""A process that dies: an exception that nothing catches, raised before or after one of its writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tailrace.batch.lake.iceberg import IcebergLake, IcebergStage
from tailrace.runtime.files import write_atomic
from tailrace.states import segment
from tailrace.states.manifest import ManifestStore
from tailrace.stream.backends.embedded import layout_file, resharding
from tailrace.stream.backends.embedded.turn import OpenFile


class Killed(BaseException):
    """Not an Exception, so that no handler of the product can mistake it for a failure that it may handle."""


class Faults:
    """Counts the moments just before and just after every durable write; dies at the one it is told to."""

    def __init__(self) -> None:
        self._left: int | None = None
        self.passed = 0
        self.died = False

    @contextmanager
    def dying_at(self, moment: int) -> Iterator[None]:
        """The block is left by Killed at its `moment`-th moment, counted from 1; if it has fewer, it is not disturbed."""
        self._left = moment
        try:
            yield
        finally:
            self._left = None

    def moment(self) -> None:
        self.passed += 1
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.died = True
                raise Killed

    def around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.moment()
            result = write(*args, **kwargs)
            self.moment()
            return result

        return wrapped


@contextmanager
def installed() -> Iterator[Faults]:
    """Every durable write of speed, batch and lake, and of a split or merge, passes through the Faults that this yields."""
    faults = Faults()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "write_atomic", faults.around(write_atomic))
        patch.setattr(layout_file, "write_atomic", faults.around(write_atomic))
        patch.setattr(resharding, "create_shard", faults.around(resharding.create_shard))
        for owner, name in (
            (ManifestStore, "swap"),
            (ManifestStore, "want"),
            (ManifestStore, "mark_speed_ready"),
            (IcebergLake, "append"),
            (IcebergLake, "replace"),
            (IcebergStage, "finish"),
            (OpenFile, "end_locked"),
        ):
            patch.setattr(owner, name, faults.around(getattr(owner, name)))
        yield faults
