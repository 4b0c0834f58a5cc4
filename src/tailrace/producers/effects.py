"""What each scenario does to the requests of a slot. Called by the generator; an effect draws from a generator of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.producers.draft import Draft
from tailrace.producers.scenarios.event import Event

WAITED_US = 1_000_000
"""How long a refused request has waited for a connection."""
_REFUSED_SHARE = 0.97
_DOWN_SHARE = 0.25
"""Of a deployment: how long instances answer 502; then they are slow, less and less."""


def aim(draft: Draft, event: Event, chance: np.random.Generator) -> None:
    """Where requests go, before anything else of them is drawn."""
    if event.scenario == "ddos":
        draft.endpoint[draft.hostile] = event.endpoints[0]
    elif event.scenario == "skew":
        draft.endpoint[chance.random(len(draft)) < event.parameters["share"]] = event.endpoints[0]


def apply(draft: Draft, event: Event, intensity: float, elapsed_s: float, chance: np.random.Generator) -> None:
    """What becomes of them. `intensity`: above 0."""
    effect = _EFFECTS.get(event.scenario)
    if effect is not None:
        effect(draft, event, intensity, elapsed_s, chance)


def _outage(draft: Draft, event: Event, intensity: float, _: float, chance: np.random.Generator) -> None:
    struck = _struck(draft, event) & (chance.random(len(draft)) < event.parameters["share"] * intensity)
    _refuse(draft, struck, 503, chance)


def _flap(draft: Draft, event: Event, _: float, elapsed_s: float, chance: np.random.Generator) -> None:
    period_s = event.parameters["period"]
    if (elapsed_s - event.from_s) % period_s < period_s / 2:
        struck = _struck(draft, event) & (chance.random(len(draft)) < event.parameters["share"])
        _refuse(draft, struck, 503, chance)


def _slow(draft: Draft, event: Event, intensity: float, _: float, chance: np.random.Generator) -> None:
    _stretch(draft, _struck(draft, event), 1 + (event.parameters["factor"] - 1) * intensity)


def _deploy(draft: Draft, event: Event, _: float, elapsed_s: float, chance: np.random.Generator) -> None:
    done = (elapsed_s - event.from_s) / (event.to_s - event.from_s)
    struck = _struck(draft, event)
    if done < _DOWN_SHARE:
        gone = struck & (chance.random(len(draft)) < event.parameters["share"])
        draft.status[gone] = 502
        draft.response_us[gone] = 1_000 + chance.integers(0, 2_000, int(gone.sum()))
    else:
        warm = (done - _DOWN_SHARE) / (1 - _DOWN_SHARE)
        _stretch(draft, struck, 1 + (event.parameters["factor"] - 1) * (1 - warm) ** 2)


def _ddos(draft: Draft, event: Event, _: float, __: float, chance: np.random.Generator) -> None:
    count = int(draft.hostile.sum())
    draft.status[draft.hostile] = np.where(chance.random(count) < _REFUSED_SHARE, 401, 429)


def _late(draft: Draft, event: Event, _: float, __: float, chance: np.random.Generator) -> None:
    """By how much follows a law without a scale from a second on: many by a little, few by a lot."""
    share = chance.random(len(draft))
    parameters = event.parameters
    late, ahead = share < parameters["share"], share >= 1 - parameters["ahead"]
    draft.at_us[late] -= _delays_us(int(late.sum()), parameters["by"], chance)
    draft.at_us[ahead] += _delays_us(int(ahead.sum()), parameters["ahead_by"], chance)


def _poison(draft: Draft, event: Event, _: float, __: float, chance: np.random.Generator) -> None:
    struck = chance.random(len(draft)) < event.parameters["share"]
    draft.poison[struck] = chance.integers(1, 5, int(struck.sum()))


_EFFECTS = {
    "outage": _outage,
    "flap": _flap,
    "slow": _slow,
    "deploy": _deploy,
    "ddos": _ddos,
    "late": _late,
    "poison": _poison,
}


def _struck(draft: Draft, event: Event) -> Any:
    return np.isin(draft.endpoint, event.endpoints) & ~draft.hostile


def _refuse(draft: Draft, struck: Any, status: int, chance: np.random.Generator) -> None:
    draft.status[struck] = status
    draft.response_us[struck] = WAITED_US + chance.integers(0, 12_000, int(struck.sum()))


def _stretch(draft: Draft, struck: Any, factor: float) -> None:
    """In whole thousandths."""
    draft.response_us[struck] = draft.response_us[struck] * round(factor * 1000) // 1000


def _delays_us(count: int, longest_s: float, chance: np.random.Generator) -> Any:
    longest_us = max(longest_s * 1e6, 1.0)
    return np.round(min(1e6, longest_us) * (longest_us / min(1e6, longest_us)) ** chance.random(count)).astype(np.int64)
