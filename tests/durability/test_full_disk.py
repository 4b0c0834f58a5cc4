"""A disk without space: the page shows what was read, batch waits, nothing ends; and all goes on once there is space."""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import Unavailable
from tailrace.pipeline.log_file import BoundedLog
from tailrace.serving import batch_loop
from tailrace.serving.batch_loop import run_batch
from tailrace.states import segment
from tailrace.stream.base import ProducerStamp
from tests.durability.life import SHIPPED, one_view, post_lines
from tests.oracle.model import ENDPOINT_HEALTH, expected_rows, parse_all
from tests.oracle.rig import Rig


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_views_show_what_was_read_though_no_segment_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_view():
        rig = Rig(tmp_path, embedded=True)
        rig.look()
        rig.read()
        rig.settle()
        lines = [line for n in range(3) for line in post_lines(n)]
        with monkeypatch.context() as full:
            full.setattr(segment, "write_atomic", no_space)
            for n in range(3):
                rig.put(post_lines(n), ProducerStamp("p", 1, n))
            rig.seal()
            with pytest.raises(Unavailable, match="No space left"):
                rig.follower.step()
            shown = rig.rows(SHIPPED, fresh=False)[1]
            assert shown == expected_rows(ENDPOINT_HEALTH, parse_all(lines))
            rig.consume()
            assert rig.cycle().waiting
        rig.settle()
        rig.check()
        assert all(epoch >= 1 for epoch in rig.frontier().values())
        assert rig.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(lines))
        rig.close()


def test_the_batch_loop_outlives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_loop, "RETRY_S", 0.0)
    monkeypatch.setattr(batch_loop, "LOOK_S", 0.001)
    with one_view():
        rig = Rig(tmp_path, embedded=True)
        rig.look()
        stop, calls = threading.Event(), []

        def consume() -> bool:
            calls.append(1)
            if len(calls) == 1:
                no_space()
            return False

        run_batch(consume, rig._handover, rig.store, rig.clock, 0.0, stop, lambda report: stop.set())
        assert len(calls) == 2
        rig.close()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    handler = BoundedLog(tmp_path / "a.log", told.append)
    record = logging.LogRecord("a", logging.ERROR, "a.py", 1, "the disk is full", (), None)
    with monkeypatch.context() as full:
        full.setattr(os, "write", no_space)
        handler.emit(record)
    assert told == ["the disk is full"]
