"""Live subscriptions: what a panel asks for, turned into a query of the moment, computed once however many clients watch.

The result of a subscription depends on the pinned states and on the clock only by whole windows, so it is kept under
(what is asked, change of the states, window of the clock) and every client is served the same bytes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import msgspec

from tailrace.errors import Invalid
from tailrace.model.window import duration_us, iso, window_start_us
from tailrace.serving.merge import Merger, ViewAnswer, ViewQuery, rows_of
from tailrace.serving.pin import Pinned

KEPT_MAX = 256


class Top(msgspec.Struct, frozen=True):
    """`key`: rank by this key column alone; the others keep their other keys. None: by all keys together."""

    by: str
    n: int
    key: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A panel's wish. `over`: how far back from now, e.g. `5m`; windows that start later than now - over."""

    view: str
    over: str
    step: str | None = None
    total: bool = False
    where: str | None = None
    top: Top | None = None
    keys: tuple[str, ...] | None = None
    """Only these of the view's keys; rows that differ in the others alone are merged."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The body of a snapshot frame as JSON text without its braces' head (`sub` and `seq` are the client's own)."""

    key: tuple[object, ...]
    body: bytes


class LiveResults:
    """Computes and keeps the newest frame of each subscription; any thread may ask."""

    def __init__(self, merger: Merger) -> None:
        self._merger = merger
        self._kept: dict[Subscription, Frame] = {}
        self._lock = threading.Lock()

    def frame(self, wish: Subscription, pinned: Pinned, now_us: int) -> Frame:
        """Raises Invalid, NotFound, Unavailable as a query does."""
        view, _ = pinned.view(wish.view)
        query = live_query(wish, view.window_us, now_us)
        key = (view.version, pinned.manifest.generation, pinned.speed.of(view.version).change, query.from_us)
        kept = self._kept.get(wish)
        if kept is not None and kept.key == key:
            return kept
        answer = self._merger.answer(pinned, wish.view, query)
        frame = Frame(
            key,
            _encode({"kind": "snapshot", "view": wish.view, **answer_meta(answer, pinned), "computed_at": iso(now_us)}),
        )
        with self._lock:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[wish] = frame
        return frame


def live_query(wish: Subscription, window_us: int, now_us: int) -> ViewQuery:
    """The query of this moment: from the first whole window within `over`, to the end of time."""
    over_us = duration_us(wish.over)
    step_us = duration_us(wish.step) if wish.step else None
    if wish.total and step_us:
        raise Invalid("`total` and `step` exclude each other", hint="leave one of them out")
    from_us = window_start_us(now_us - over_us, step_us or window_us) + (step_us or window_us)
    return ViewQuery(
        from_us=from_us,
        step_us=step_us,
        total=wish.total,
        where=wish.where,
        top=(wish.top.by, wish.top.n) if wish.top else None,
        top_key=wish.top.key if wish.top else None,
        by=wish.keys,
    )


def answer_meta(answer: ViewAnswer, pinned: Pinned) -> dict[str, Any]:
    """Columns, rows and what the numbers stand on; shared by `/v1/views/{name}` and the live frames."""
    version = answer.view.version
    complete, newest = pinned.speed.of(version).complete_through_us, pinned.speed.newest_event_us
    return {
        "version": version,
        "columns": list(answer.columns),
        "rows": rows_of(answer.table),
        "others": answer.others,
        "truncated": answer.truncated,
        "kept_from": iso(answer.kept_from_us) if answer.kept_from_us is not None else None,
        "position": pinned.position(version),
        "position_token": pinned.position_token(version),
        "frontier": pinned.frontier(),
        "complete_through": iso(complete) if complete is not None else None,
        "newest_event_at": iso(newest) if newest is not None else None,
        "drift_rows": pinned.drift_rows.get(version, 0),
        "batch_only": pinned.speed.of(version).batch_only,
        "absent_records": pinned.absent_records(answer.view.name),
    }


_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _encode(value: Any) -> bytes:
    return _ENCODER.encode(value)


def with_head(frame: Frame, sub: str, seq: int, now_us: int) -> bytes:
    """The frame as one client sees it."""
    head = _encode({"sub": sub, "seq": seq, "server_now": iso(now_us)})
    return head[:-1] + b"," + frame.body[1:]
