"""What all sinks do alike: a few threads that each see one post through, until it is acknowledged, refused for good, or time is up.

Nothing is lost silently: whatever becomes of a post is counted and told to the journal.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from tailrace.errors import InternalError
from tailrace.producers.backoff import backoff_s
from tailrace.producers.feed import Post
from tailrace.producers.tally import SinkCounts, Tally
from tailrace.runtime.clock import Clock

QUEUED_PER_CONNECTION = 4
"""Posts that wait for a connection; with those in flight they bound the memory."""
CLOSE_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Acked:
    """What an acknowledgement says of a post's lines; together they are all of them. `dead_lettered` None: it does not tell."""

    accepted: int
    dead_lettered: int | None = None
    deduplicated: int = 0


@dataclass(slots=True)
class Parcel:
    """A post on its way. `rest`: for the link alone: what of it is still to be sent, or how it is packed."""

    n: int
    post: Post
    rest: Any = None


class Retry(Exception):
    """The post may be sent again. `after_s`: what the other side asks for."""

    def __init__(self, problem: str, after_s: float | None = None) -> None:
        super().__init__(problem)
        self.after_s = after_s


class Refused(Exception):
    """The post will never be taken."""


class Link(Protocol):
    """A connection of one thread. `send` returns once all of the post is durable there, or raises Retry or Refused; it is called
    again with the same parcel after a Retry. `give_up`: set once waiting has no sense any more."""

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked: ...
    def close(self) -> None: ...


class Journal(Protocol):
    """Is told what became of each post, from any thread."""

    def acked(self, post: Post, n: int, acked: Acked) -> None: ...
    def refused(self, post: Post, n: int, problem: str) -> None:
        """It has not been stored, and will not be."""
        ...

    def left_open(self, post: Post, n: int, problem: str) -> None:
        """Time was up: it may have been stored or not."""
        ...


class Sink:
    """`salt`: who waits, so that a crowd of producers does not come back at one moment. `put` is called by one thread."""

    def __init__(self, clock: Clock, *, connections: int, salt: str, journal: Journal | None = None) -> None:
        self._clock = clock
        self._salt = salt
        self._journal = journal
        self._queue: queue.Queue[Parcel | None] = queue.Queue(connections * QUEUED_PER_CONNECTION)
        self._give_up = threading.Event()
        self._tally = Tally()
        self._next_n = 0
        self._broken: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, name=f"sink-{i}", daemon=True) for i in range(connections)]
        for thread in self._threads:
            thread.start()

    def link(self) -> Link:
        """A new connection; called by each thread once. What cannot be reached now must raise in `send`, not here."""
        raise NotImplementedError

    def put(self, post: Post, stop: threading.Event) -> bool:
        """See feed.Sink. Raises InternalError once a thread has failed, such as for want of room for the manifest."""
        n = self._next_n if post.n is None else post.n
        while not stop.is_set():
            self._check()
            try:
                self._queue.put(Parcel(n, post), timeout=0.1)
            except queue.Full:
                continue
            self._next_n = n + 1
            self._tally.sent(post.lines)
            return True
        return False

    def _check(self) -> None:
        if self._broken is not None:
            raise InternalError(f"posts can be sent no more: {self._broken}") from self._broken

    def counts(self) -> SinkCounts:
        """As of now, from any thread."""
        return self._tally.counts()

    @property
    def ack_times(self) -> dict[int, int]:
        """See Tally."""
        return self._tally.ack_times()

    def close(self, timeout_s: float = 10.0) -> SinkCounts:
        """Send what was put, for at most `timeout_s`; what is not acknowledged by then is counted as failed."""
        self.give_up_after(timeout_s)
        for thread in self._threads:
            while thread.is_alive() and self._broken is None:
                try:
                    self._queue.put(None, timeout=0.1)
                    break
                except queue.Full:
                    continue
        for thread in self._threads:
            thread.join(timeout_s + CLOSE_S_MAX)
        self._give_up.set()
        self._check()
        return self.counts()

    def give_up_after(self, seconds: float) -> None:
        """From then on, nothing is sent again. The earliest of several counts."""
        if seconds <= 0:
            self._give_up.set()
            return
        timer = threading.Timer(seconds, self._give_up.set)
        timer.daemon = True
        timer.start()

    def _run(self) -> None:
        """One connection's thread: everything it takes from the queue ends as acked or failed."""
        link = self.link()
        try:
            while (parcel := self._queue.get()) is not None:
                self._deliver(link, parcel)
        except BaseException as error:  # noqa: BLE001 - whoever puts raises it: a thread that is gone would be waited for
            self._broken = error
            self._give_up.set()
        finally:
            link.close()

    def _deliver(self, link: Link, parcel: Parcel) -> None:
        started_s = self._clock.monotonic_s()
        attempt, problem = 0, "not sent in time"
        while not self._give_up.is_set():
            attempt += 1
            try:
                acked = link.send(parcel, self._give_up)
            except Retry as error:
                problem = str(error)
                self._tally.retried(problem)
                self._give_up.wait(backoff_s(attempt, f"{self._salt};{parcel.n}", error.after_s))
            except Refused as error:
                self._tally.failed(parcel.post.lines, str(error))
                if self._journal is not None:
                    self._journal.refused(parcel.post, parcel.n, str(error))
                return
            else:
                if self._journal is not None:
                    self._journal.acked(parcel.post, parcel.n, acked)
                ack_ms = (self._clock.monotonic_s() - started_s) * 1000
                self._tally.acked(parcel.post.lines, acked.dead_lettered or 0, acked.deduplicated, ack_ms)
                return
        self._tally.failed(parcel.post.lines, problem)
        if self._journal is not None:
            self._journal.left_open(parcel.post, parcel.n, problem)
