"""From the options of a person to a shipper that can run. The only place of `ship` that makes connections and folders."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Invalid
from tailrace.model.line_format import Multiline
from tailrace.producers.ship.cut import cut_for
from tailrace.producers.ship.journal import Journal
from tailrace.producers.ship.senders import Senders, packing
from tailrace.producers.ship.shipper import PATIENCE_S, Plan, Shipper
from tailrace.producers.ship.standard_input import PipeShipper
from tailrace.producers.ship.tracker import Tracker
from tailrace.producers.wire import Wire, parse_address
from tailrace.runtime.clock import Clock

STANDARD_INPUT = "-"
QUEUED_PER_CONNECTION = 2


@dataclass(frozen=True, slots=True)
class Options:
    """`compression`: gzip, zstd, none, or auto: zstd unless the node is on this machine. `params`: of the address's query.

    `multiline`: how the node's format joins lines into records. `token`: sent as a bearer token.
    """

    url: str
    params: dict[str, str]
    state: Path | None = None
    from_end: bool = False
    once: bool = False
    multiline: Multiline | None = None
    flush_s: float | None = None
    lines_flush_s: float = 2.0
    patience_s: float = PATIENCE_S
    connections: int = 2
    compression: str = "auto"
    token: str = ""


def ship_files(patterns: Sequence[str], options: Options, clock: Clock, tell: Callable[[str], None]) -> Shipper:
    """Raises what Journal raises, and Invalid for an address that cannot be one or, with `once`, a file that is not there."""
    address = parse_address(options.url)
    for pattern in patterns:
        if pattern == STANDARD_INPUT:
            raise Invalid("`-` stands alone", hint="run another `tailrace ship` for the files")
    _open_many_files()
    journal = Journal(options.state or default_state(address.url), address.url)
    try:
        rows = journal.files()
        begun = {post.file for post in journal.posts()}
        also = [row.base for row in rows if row.id in begun]
        tracker = Tracker([*patterns, *also], rows, clock, tell, from_end=options.from_end)
    except BaseException:
        journal.close()
        raise
    plan = Plan(
        _packed(options.params),
        cut_for(options.multiline),
        options.once,
        options.flush_s,
        options.lines_flush_s if options.multiline else None,
        options.patience_s,
    )
    return Shipper(tracker, journal, _senders(options, clock), plan, clock, tell)


def ship_pipe(handle: int, options: Options, clock: Clock) -> PipeShipper:
    return PipeShipper(
        handle, _senders(options, clock), _packed(options.params), cut_for(options.multiline), options.lines_flush_s
    )


def default_state(url: str) -> Path:
    """A folder of its own for each node, below $XDG_STATE_HOME."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "tailrace" / "ship" / hashlib.sha256(url.encode()).hexdigest()[:12]


def _packed(params: dict[str, str]) -> str:
    return json.dumps(params, sort_keys=True)


def _senders(options: Options, clock: Clock) -> Senders:
    address = parse_address(options.url)
    compression = options.compression
    if compression == "auto":
        compression = "none" if address.local else "zstd"
    pack, headers = packing(compression)
    headers["Content-Type"] = "application/octet-stream"
    if options.token:
        headers["Authorization"] = f"Bearer {options.token}"

    def connect(params: str) -> Wire:
        return Wire(address, json.loads(params), headers)

    return Senders(connect, pack, clock, options.connections, options.connections * QUEUED_PER_CONNECTION)


def _open_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
