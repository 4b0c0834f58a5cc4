"""The scenarios there are, with their parameters: what they default to, and what is possible. One line each for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace.errors import Invalid
from tailrace.model.window import duration_us
from tailrace.producers.near_names import near
from tailrace.producers.profile.model import Profile
from tailrace.producers.scenarios.event import Event

STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Parameter:
    """`seconds`: written as a duration, such as 30s."""

    default: float
    low: float
    high: float
    seconds: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`aims_at`: endpoints that it strikes if none is named, the first there is; empty: it strikes all. `whole`: named alone, it lasts
    all of a run, else the middle third. `by_service`: it strikes all endpoints of the service."""

    about: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    aims_at: tuple[str, ...] = ()
    whole: bool = False
    by_service: bool = False


def _share(default: float) -> Parameter:
    return Parameter(default, 0, 1)


def _seconds(default: float, high: float = 366 * 86_400) -> Parameter:
    return Parameter(default, 0, high, seconds=True)


SCENARIOS: dict[str, Scenario] = {
    STEADY: Scenario("nothing goes wrong", whole=True),
    "rush": Scenario("many more requests", {"factor": Parameter(4, 1, 100), "ramp": _seconds(10)}),
    "outage": Scenario(
        "an endpoint answers 503 after a second of waiting", {"share": _share(0.6), "ramp": _seconds(6)}, ("/profile",)
    ),
    "slow": Scenario(
        "an endpoint takes many times as long", {"factor": Parameter(12, 1, 1000), "ramp": _seconds(6)}, ("/login",)
    ),
    "ddos": Scenario(
        "one network floods an endpoint, most of it refused",
        {"factor": Parameter(0.8, 0, 100), "ramp": _seconds(6)},
        ("/login",),
    ),
    "deploy": Scenario(
        "a service is replaced: 502 at first, then slow until its caches are warm",
        {"share": _share(0.25), "factor": Parameter(4, 1, 100)},
        ("/home",),
        by_service=True,
    ),
    "flap": Scenario(
        "an endpoint fails and recovers, again and again",
        {"share": _share(0.9), "period": Parameter(20, 0.2, 86_400, seconds=True)},
        ("/profile",),
    ),
    "late": Scenario(
        "part of the lines come late; `ahead` of them are of clocks that run fast",
        {"share": _share(0.05), "by": _seconds(3600), "ahead": _share(0), "ahead_by": _seconds(30)},
        whole=True,
    ),
    "duplicates": Scenario("part of the posts are sent twice, with the same ids", {"share": _share(0.02)}, whole=True),
    "poison": Scenario("part of the lines cannot be read", {"share": _share(0.02)}, whole=True),
    "skew": Scenario(
        "most requests are for one endpoint, and so one shard", {"share": _share(0.9)}, ("/home",), whole=True
    ),
}


def make_event(name: str, from_s: float, to_s: float, given: Mapping[str, Any], profile: Profile) -> Event:
    """Raises Invalid for an unknown scenario, parameter or endpoint, and for a value out of range."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise Invalid(f"there is no scenario `{name}`", hint=near(name, tuple(SCENARIOS)))
    rest = dict(given)
    places = _struck(name, scenario, rest.pop("endpoint", None), profile)
    values = {word: parameter.default for word, parameter in scenario.parameters.items()}
    for word, value in rest.items():
        if word not in scenario.parameters:
            known = (*scenario.parameters, *(("endpoint",) if scenario.aims_at else ()))
            raise Invalid(
                f"scenario `{name}` has no parameter `{word}`", hint=near(word, known) if known else "it has none"
            )
        values[word] = _value(f"{name}.{word}", value, scenario.parameters[word])
    what = f"{name}: {scenario.about}"
    title = f"{what} ({', '.join(profile.endpoints[place].path for place in places)})" if places else what
    return Event(name, from_s, to_s, places, values, title)


def _struck(name: str, scenario: Scenario, asked: object, profile: Profile) -> tuple[int, ...]:
    if not scenario.aims_at:
        if asked is not None:
            raise Invalid(f"scenario `{name}` has no parameter `endpoint`", hint="it strikes all endpoints")
        return ()
    place: int | None
    if asked is None:
        found = [at for path in scenario.aims_at if (at := profile.place(path)) is not None]
        mix = profile.mix()
        place = found[0] if found else int(mix.argmax())
    else:
        place = profile.place(str(asked))
    if place is None:
        raise Invalid(
            f"profile `{profile.name}` has no endpoint `{asked}`",
            hint=near(str(asked), [each.path for each in profile.endpoints]),
        )
    if not scenario.by_service:
        return (place,)
    service = profile.endpoints[place].service
    return tuple(n for n, each in enumerate(profile.endpoints) if each.service == service)


def _value(name: str, value: Any, parameter: Parameter) -> float:
    if parameter.seconds and isinstance(value, str):
        number = duration_us(value) / 1e6
    else:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
    if isinstance(value, bool) or not parameter.low <= number <= parameter.high:
        raise Invalid(
            f"`{name}` is `{value}`",
            hint=f"write {'a duration' if parameter.seconds else 'a number'} from {parameter.low:g} to "
            f"{parameter.high:g}{' seconds' if parameter.seconds else ''}",
        )
    return number
