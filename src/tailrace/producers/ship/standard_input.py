"""Lines from a pipe. What a pipe has given cannot be read again, so they are sent exactly once only while the process lives."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from tailrace.errors import Invalid
from tailrace.producers.ship.cut import BLOCK_BYTES, LINE_BYTES_MAX, Cut, after_last_line, halves
from tailrace.producers.ship.senders import Planned, Senders
from tailrace.producers.ship.shipper import Shipped
from tailrace.producers.ship.tailed import Block
from tailrace.producers.wire import Outcome
from tailrace.runtime.ids import unique_id

QUIET_S = 0.2
"""What was read is sent once nothing more came for so long, or a block is full."""


class PipeShipper:
    """Ends at the pipe's end, once all is acknowledged. `stop` ends it earlier; then what was read is still sent."""

    def __init__(self, handle: int, senders: Senders, params: str, cut: Cut, lines_flush_s: float) -> None:
        """`lines_flush_s`: whole lines are sent after so long without more, whether or not a record may go on."""
        self.stop = threading.Event()
        self.shipped = Shipped(files=1)
        self._handle, self._senders, self._params, self._cut = handle, senders, params, cut
        self._name, self._n = f"ship-{unique_id()}", 0
        self._text = b""
        self._quiet_turns, self._quiet_turns_max = 0, round(lines_flush_s / QUIET_S)

    def run(self, watch: Callable[[Shipped], None]) -> Shipped:
        """Raises Invalid if the node refuses a post for good."""
        ended = False
        while not ended and not self.stop.is_set():
            ready, _, _ = select.select([self._handle], [], [], QUIET_S)
            if ready:
                part = os.read(self._handle, BLOCK_BYTES)
                ended = not part
                self._text += part
            self._quiet_turns = 0 if ready else self._quiet_turns + 1
            if self._quiet_turns > self._quiet_turns_max:
                self._send(after_last_line(self._text))
            elif len(self._text) >= BLOCK_BYTES or not ready:
                self._send(self._cut(self._text))
            self._settle(watch)
        self._send(len(self._text))
        while self._senders.under_way:
            self._settle(watch)
            self._senders.changed.wait(QUIET_S)
            self._senders.changed.clear()
        self._senders.close()
        watch(self.shipped)
        return self.shipped

    def _send(self, length: int) -> None:
        if len(self._text) >= LINE_BYTES_MAX:
            length = length or len(self._text)
        if not length:
            return
        body, self._text = self._text[:length], self._text[length:]
        self._put(body)

    def _put(self, body: bytes) -> None:
        while not self._senders.free_posts:
            self._settle(lambda shipped: None)
            self._senders.changed.wait(QUIET_S)
            self._senders.changed.clear()
        self._senders.put(Planned(f"{self._name};1;{self._n}", 0, Block(0, body, 0, 0), self._params))
        self._n += 1

    def _settle(self, watch: Callable[[Shipped], None]) -> None:
        for post, reply in self._senders.settled():
            if reply.outcome is Outcome.TOO_LARGE and len(post.block.body) > 1:
                body = bytes(post.block.body)
                at = halves(body, self._cut)
                self._put(body[:at])
                self._put(body[at:])
                continue
            if reply.outcome is not Outcome.ACKED:
                raise Invalid(f"the node refused a post for good: {reply.problem}", hint="mend it, and start again")
            self.shipped.posts += 1
            self.shipped.bytes_acked += len(post.block.body)
            self.shipped.accepted += reply.accepted
            self.shipped.dead_lettered += reply.dead_lettered
            self.shipped.deduplicated += reply.deduplicated
        self.shipped.retries, self.shipped.problem = self._senders.trouble.retries, self._senders.trouble.text
        watch(self.shipped)
