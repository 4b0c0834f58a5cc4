"""Closes the open epoch of every shard, again and again: the one sealer of a stream, in the node."""

from __future__ import annotations

import logging
import threading

from tailrace.errors import TailraceError
from tailrace.stream.base import StreamBackend

LOG = logging.getLogger(__name__)


def run_sealer(stream: StreamBackend, interval_s: float, stop: threading.Event) -> None:
    """Until `stop`. A shard that cannot be written, or read, is tried again at the next turn; the others are not held up."""
    while not stop.wait(interval_s):
        try:
            shards = [shard for shard in stream.shards() if not shard.closed]
        except TailraceError as error:
            LOG.error("epochs stay open: %s", error.message)
            continue
        for shard in shards:
            try:
                stream.seal(shard.id)
            except TailraceError as error:
                LOG.error("epoch of %s stays open: %s", shard.id, error.message)
