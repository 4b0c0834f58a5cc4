"""A source that feeds a sink in a thread of its own, for commands that have something to show meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tailrace.errors import TailraceError
from tailrace.producers.feed import Post, feed
from tailrace.producers.sinks.base import Sink
from tailrace.producers.tally import SinkCounts
from tailrace.runtime.clock import Clock


class Producer:
    """Starts at once. `stop` ends the source, then waits for what is on the way."""

    def __init__(self, posts: Iterable[Post], sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._problem: TailraceError | None = None
        self._thread = threading.Thread(target=self._run, args=(posts, clock), name="producer", daemon=True)
        self._thread.start()

    def _run(self, posts: Iterable[Post], clock: Clock) -> None:
        try:
            feed(posts, self._sink, clock, self._stop)
        except TailraceError as error:
            self._problem = error
        finally:
            self._ended.set()

    def counts(self) -> SinkCounts:
        return self._sink.counts()

    @property
    def ended(self) -> bool:
        """Whether the source has given its last line; lines may still be on the way."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the source's end at most so long; whether it has come."""
        return self._ended.wait(seconds)

    def stop(self, timeout_s: float = 10.0) -> SinkCounts:
        """Raises what the source raised."""
        self._stop.set()
        self._thread.join(timeout_s)
        counts = self._sink.close(timeout_s)
        if self._problem is not None:
            raise self._problem
        return counts
