"""From what was asked of `tailrace produce` to a plan, with an error for what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tailrace.cli.client import Client, node_url
from tailrace.errors import InternalError, Invalid, NotFound
from tailrace.model.window import duration_us
from tailrace.producers.near_names import near
from tailrace.producers.profile.model import Profile
from tailrace.producers.profile.read import read_profile, shipped_profile
from tailrace.producers.replay import parse_speed
from tailrace.producers.scenarios.timeline import Change, Timeline, events_of
from tailrace.producers.sinks.http import ENCODINGS
from tailrace.producers.sinks.targets import kind_of
from tailrace.producers.spec import RATE_MAX, RunSpec
from tailrace.producers.traffic import Times, slots_of
from tailrace.runtime.ids import unique_id

COUNTED = ("received", "stored", "dead_lettered", "deduplicated")


@dataclass(frozen=True, slots=True)
class Asked:
    to: str | None
    rate: float
    processes: int
    duration: str | None
    connections: int
    seed: int
    profile: Path | None
    base: Path | None
    scenario: str
    since: str | None
    speed: str
    encoding: str
    endpoint_url: str


@dataclass(frozen=True, slots=True)
class Planned:
    """`ledger`: of the node before the run; None for what is no node. `since_us`: event time begins so long before now."""

    spec: RunSpec
    ledger: dict[str, int] | None
    since_us: int


def plan(asked: Asked) -> Planned:
    """Raises Invalid, or Unavailable if the node does not answer."""
    if not 0 < asked.rate <= RATE_MAX:
        raise Invalid(
            f"rate `{asked.rate:g}` is not possible", hint=f"write lines a second, more than 0 and at most {RATE_MAX:,}"
        )
    target = asked.to or node_url(None)
    kind = kind_of(target)
    if kind == "stdout" and asked.processes > 1:
        raise Invalid(
            "several processes would mix their lines on standard output", hint="use --processes 1, or file://PATH"
        )
    if asked.encoding not in ENCODINGS or (asked.encoding != "none" and kind != "http"):
        raise Invalid(f"`--encoding {asked.encoding}` is not possible here", hint=near(asked.encoding, ENCODINGS))
    if asked.endpoint_url and kind != "kinesis":
        raise Invalid("`--endpoint-url` is for kinesis://", hint="name the node with --to")
    profile = _profile(asked)
    if kind == "kinesis" and asked.endpoint_url:
        from tailrace.producers.sinks.kinesis import check_answers

        check_answers(asked.endpoint_url)
    since_us, speed, length_us = _times(asked)
    slots = slots_of(length_us)
    events = events_of(asked.scenario, length_us * speed / 1e6, profile)
    spec = RunSpec(
        run=unique_id()[:8],
        seed=asked.seed,
        target=target,
        profile=profile,
        timeline=Timeline((Change(0, asked.rate),), events),
        times=Times(0, 0, speed),
        slots=slots,
        shaped=asked.since is not None,
        processes=min(asked.processes, max(slots, 1)),
        connections=asked.connections,
        encoding=asked.encoding,
        endpoint_url=asked.endpoint_url,
    )
    return Planned(spec, ledger_of(Client(target)) if kind == "http" else None, since_us)


def _profile(asked: Asked) -> Profile:
    if asked.profile is not None and asked.base is not None:
        raise Invalid("`--profile` and `--base` exclude each other", hint="a base file is learned, a profile is read")
    if asked.base is not None:
        from tailrace.producers.profile.learn import learn

        return learn(asked.base).profile
    return read_profile(asked.profile) if asked.profile is not None else shipped_profile()


def _times(asked: Asked) -> tuple[int, float, int]:
    """(how long before now event time begins, its speed, how long the run takes)."""
    speed = parse_speed(asked.speed)
    if asked.since is None:
        if speed != 1:
            raise Invalid("`--speed` is for filling history", hint="add --since 30d")
        return 0, 1.0, _length_us(asked.duration or "1m")
    since_us = duration_us(asked.since)
    if speed <= 1 and asked.duration is None:
        raise Invalid("event time would never reach now", hint="add --speed 1000x, or --duration")
    # Event time catches up with now after as long as it takes to make up for `since` at the speed that it gains.
    length_us = _length_us(asked.duration) if asked.duration else round(since_us / (speed - 1))
    if asked.duration and length_us * (speed - 1) > since_us:
        raise Invalid("event times would go beyond now", hint="make --duration or --speed smaller")
    return since_us, speed, max(length_us, 1)


def _length_us(duration: str) -> int:
    length_us = duration_us(duration)
    if length_us < 1_000:
        raise Invalid(f"a run of `{duration}` sends nothing", hint="write --duration 10s, for example")
    return length_us


def ledger_of(client: Client) -> dict[str, int] | None:
    """None for a server that takes posts but is no node. Raises Unavailable if nothing answers."""
    try:
        book = client.get("/v1/pipeline")["ledger"]
        return {name: int(book[name]) for name in COUNTED}
    except (NotFound, InternalError, KeyError, TypeError):
        return None
