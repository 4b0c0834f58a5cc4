"""The loop of `tailrace ship`: look at the files, write into the journal what is to be sent, hand it to the senders, note what came of it.

Bytes go into the journal with their stamp, synced, before they are sent; an acknowledgement is noted with the next such write.
Whatever happens in between, the same bytes come again under the same stamp.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailrace.errors import Invalid, Unavailable
from tailrace.producers.ship.cut import Cut, halves
from tailrace.producers.ship.journal import FileRow, Journal, PostRow
from tailrace.producers.ship.senders import Planned, Senders
from tailrace.producers.ship.tailed import Block, Ending, Tailed
from tailrace.producers.ship.tracker import Tracker
from tailrace.producers.wire import Outcome, Reply
from tailrace.runtime.clock import Clock

SCAN_S = 0.2
GRACE_S = 5.0
"""A file that was put aside is read to its end so long after its last growth: its writer may still have it open."""
END_S = 10.0
"""How long posts on the way are waited for when asked to end."""
PATIENCE_S = 300.0


@dataclass(slots=True)
class Shipped:
    """`bytes_acked`, `posts`, and lines as the node counted them. `lost`: what was on the way and is not to be found any more.
    `unread`: with `once`, files that could not be read to their end, and why."""

    bytes_acked: int = 0
    posts: int = 0
    accepted: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0
    retries: int = 0
    bytes_lost: int = 0
    files: int = 0
    bytes_behind: int = 0
    problem: str = ""
    lost: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Plan:
    """`flush_s`: send the end of a file that did not grow so long, whole or not (None: wait). `lines_flush_s`: the same for whole
    lines, where a record may have many. `patience_s`: with `once`, give up after so long without any acknowledgement."""

    params: str
    cut: Cut
    once: bool = False
    flush_s: float | None = None
    lines_flush_s: float | None = None
    patience_s: float = PATIENCE_S


class Shipper:
    """Used by one thread; `stop` may be set by any."""

    def __init__(
        self,
        tracker: Tracker,
        journal: Journal,
        senders: Senders,
        plan: Plan,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self.stop = threading.Event()
        self.shipped = Shipped()
        self._tracker, self._journal, self._senders, self._plan = tracker, journal, senders, plan
        self._clock, self._tell = clock, tell
        self._resend = journal.posts()
        self._done: list[str] = []
        self._unreadable: dict[str, str] = {}
        self._split: list[Planned] = []
        self._written: dict[int, FileRow] = {}
        self._asked = 0
        self._observed_s = float("-inf")
        self._scanned_s = float("-inf")
        self._moved_s = clock.monotonic_s()
        self._told = ""

    def run(self, watch: Callable[[Shipped], None]) -> Shipped:
        """Until `stop`, or with `once` until all is acknowledged. `watch` is called now and then.

        Raises Invalid if the node refuses a post for good, Unavailable if the journal cannot be written or patience has ended.
        """
        try:
            self._loop(watch)
            self._end()
        finally:
            self._senders.close()
            self._journal.close()
            for each in self._tracker.tailed:
                each.close()
        return self.shipped

    def _loop(self, watch: Callable[[Shipped], None]) -> None:
        while not self.stop.is_set():
            self._settle()
            busy = self._turn()
            self._observe()
            watch(self.shipped)
            if self._plan.once and not busy and self._is_through():
                unreadable = {**self._tracker.unreadable, **self._unreadable}
                self.shipped.unread = [f"{path}: {why}" for path, why in sorted(unreadable.items())]
                break
            if not busy:
                self._senders.changed.wait(SCAN_S / 2)
                self._senders.changed.clear()

    def _turn(self) -> bool:
        """One look at everything; whether anything was put on its way."""
        now_s = self._clock.monotonic_s()
        if now_s - self._scanned_s >= SCAN_S:
            self._scanned_s = now_s
            self._tracker.scan()
            self._lose()
        again = self._sent_before()
        on_top = [*again, *self._split]
        bytes_max = self._senders.free_bytes - sum(len(post.block.body) for post in on_top)
        planned = self._split + self._plan_posts(self._senders.free_posts - len(on_top), bytes_max)
        self._split = []
        self._write(planned)
        for post in (*again, *planned):
            self._senders.put(post)
        return bool(again or planned)

    # -- what is to be sent ------------------------------------------------------------------------------------------

    def _sent_before(self) -> list[Planned]:
        """Posts of the journal whose bytes are there; those of files not found again wait."""
        found: list[Planned] = []
        taken = 0
        for row in self._resend[:]:
            if len(found) >= self._senders.free_posts or taken >= self._senders.free_bytes:
                break
            each = next((each for each in self._tracker.tailed if each.row.id == row.file), None)
            if each is None or each.source is None:
                continue
            try:
                block = each.read_again(row.start, row.end, row.crc_before, row.crc_after)
            except (Unavailable, OSError):
                continue
            self._resend.remove(row)
            if block is None:
                self._lost(row, each)
            else:
                found.append(Planned(row.stamp, row.file, block, row.params))
                taken += len(block.body)
        return found

    def _plan_posts(self, posts_max: int, bytes_max: int) -> list[Planned]:
        """Blocks while there is room: first what was put aside, oldest first, then of each file in turn."""
        planned: list[Planned] = []
        waiting = {row.file for row in self._resend}
        todo = [
            each
            for each in self._tracker.tailed
            if each.source is not None and not each.resting and each.row.id not in waiting
        ]
        todo.sort(key=lambda each: (0, each.row.id) if each.row.aside else (1, each.asked))
        while todo:
            for each in todo[:]:
                if len(planned) >= posts_max or bytes_max <= 0:
                    return planned
                self._asked += 1
                each.asked = self._asked
                post = self._next_post(each)
                if post is None:
                    todo.remove(each)
                else:
                    planned.append(post)
                    bytes_max -= len(post.block.body)
        return planned

    def _next_post(self, each: Tailed) -> Planned | None:
        quiet_s = self._clock.monotonic_s() - each.quiet_since_s
        waiting = each.waiting
        try:
            block = each.next_block(self._plan.cut, self._ending(each, quiet_s))
        except (Unavailable, OSError) as error:
            self._unreadable[each.row.path] = str(error)
            self._say(f"{each.row.path} cannot be read: {error}")
            return None
        self._unreadable.pop(each.row.path, None)
        if block is None:
            if each.waiting != waiting:
                each.quiet_since_s = self._clock.monotonic_s()
            elif each.row.aside and not each.waiting and quiet_s > GRACE_S:
                each.close()
            return None
        each.quiet_since_s = self._clock.monotonic_s()
        each.taken(block)
        return Planned(self._journal.stamp(), each.row.id, block, self._plan.params)

    def _ending(self, each: Tailed, quiet_s: float) -> Ending:
        plan = self._plan
        if (
            plan.once
            or (each.row.aside and quiet_s > GRACE_S)
            or (plan.flush_s is not None and quiet_s >= plan.flush_s)
        ):
            return Ending.ALL
        if plan.lines_flush_s is not None and quiet_s >= plan.lines_flush_s:
            return Ending.LINES
        return Ending.OPEN

    def _write(self, planned: Sequence[Planned]) -> None:
        """Everything that is new, if anything is. A file is known from the moment that it is found, whatever is read of it."""
        tracker = self._tracker
        rows = [each.row for each in tracker.tailed if self._written.get(each.row.id) is not each.row]
        if not (planned or rows or self._done or tracker.forgotten):
            return
        posts = [
            PostRow(p.stamp, p.file, p.block.start, p.block.end, p.block.crc_before, p.block.crc_after, p.params)
            for p in planned
        ]
        self._journal.write(files=rows, planned=posts, done=self._done, forgotten=tracker.forgotten)
        self._written.update((row.id, row) for row in rows)
        self._done = []
        tracker.forgotten = []

    # -- what became of it -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        for post, reply in self._senders.settled():
            match reply.outcome:
                case Outcome.ACKED:
                    self._acked(post, reply)
                case Outcome.TOO_LARGE if len(post.block.body) > 1:
                    self._divide(post)
                case _:
                    raise Invalid(
                        f"the node refused a post for good: {reply.problem}",
                        hint="nothing is lost: mend it, and start again to go on where this has ended",
                    )

    def _acked(self, post: Planned, reply: Reply) -> None:
        shipped = self.shipped
        shipped.posts += 1
        shipped.bytes_acked += len(post.block.body)
        shipped.accepted += reply.accepted
        shipped.dead_lettered += reply.dead_lettered
        shipped.deduplicated += reply.deduplicated
        self._done.append(post.stamp)
        self._moved_s = self._clock.monotonic_s()

    def _divide(self, post: Planned) -> None:
        """Nothing of it was stored, so its halves go under stamps of their own."""
        block = post.block
        body = bytes(block.body)
        at = halves(body, self._plan.cut)
        middle = zlib.crc32(body[:at], block.crc_before)
        parts = (
            Block(block.start, body[:at], block.crc_before, middle),
            Block(block.start + at, body[at:], middle, block.crc_after),
        )
        self._split += [Planned(self._journal.stamp(), post.file, part, post.params) for part in parts]
        self._done.append(post.stamp)

    def _lose(self) -> None:
        """Give up what can certainly not be read again."""
        gone = {each.row.id: each for each in self._tracker.give_up({row.file for row in self._resend})}
        for row in self._resend[:]:
            if row.file in gone:
                self._resend.remove(row)
                self._lost(row, gone[row.file])

    def _lost(self, row: PostRow, each: Tailed) -> None:
        """The post may or may not have been stored before."""
        self._done.append(row.stamp)
        self.shipped.bytes_lost += row.end - row.start
        text = f"{each.row.path}: bytes {row.start:,} to {row.end:,} were on the way and are not there any more"
        self.shipped.lost.append(text)
        self._tell(text)

    def _observe(self, *, now: bool = False) -> None:
        """Some times a second, or `now`."""
        if not now and self._clock.monotonic_s() - self._observed_s < SCAN_S:
            return
        self._observed_s = self._clock.monotonic_s()
        tailed = [each for each in self._tracker.tailed if each.source is not None]
        self.shipped.files = len(tailed)
        self.shipped.bytes_behind = sum(
            max(0, each.source.stored_bytes - each.row.offset)
            for each in tailed
            if each.source and not each.source.gz and not each.resting
        )
        self.shipped.retries = self._senders.trouble.retries
        self.shipped.problem = self._senders.trouble.text
        if self.shipped.problem:
            self._say(f"sending again: {self.shipped.problem}")

    def _say(self, text: str) -> None:
        """Not the same twice in a row."""
        if text != self._told:
            self._told = text
            self._tell(text)

    def _is_through(self) -> bool:
        if self._clock.monotonic_s() - self._moved_s > self._plan.patience_s:
            raise Unavailable(
                f"nothing was acknowledged for `{self._plan.patience_s:.0f}` seconds: {self._senders.trouble.text or 'no reason known'}",
                hint="nothing is lost: start again to go on where this has ended",
            )
        return not (self._senders.under_way or self._resend or self._split or self._unread())

    def _unread(self) -> bool:
        """Whether a file has more than was read. A gzip file is asked by reading it."""
        return any(self._has_more(each) for each in self._tracker.tailed if each.source is not None and each.ours)

    def _has_more(self, each: Tailed) -> bool:
        try:
            return each.next_block(self._plan.cut, Ending.ALL) is not None
        except (Unavailable, OSError):
            return False

    def _end(self) -> None:
        """Wait a while for what is on the way, note what came of it, and leave the rest to the next start."""
        deadline_s = self._clock.monotonic_s() + END_S
        while self._senders.under_way and self._clock.monotonic_s() < deadline_s:
            self._senders.changed.wait(0.05)
            self._senders.changed.clear()
            self._settle()
        self._senders.close()
        self._settle()
        self._write(self._split)
        self._observe(now=True)
