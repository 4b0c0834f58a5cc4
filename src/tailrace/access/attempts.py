"""How often somebody may try a password: a few times at once, then with pauses that double.

Counted for a name at an address, for an address, and for a name wherever it is tried from: the last with more patience, so that
somebody who fails on purpose somewhere else does not keep a person out.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.runtime.clock import Clock

BOTH_FREE, ADDRESS_FREE, NAME_FREE = 5, 20, 50
"""Failures in a row before there is a pause. Many people may share an address."""
PAUSE_S_MAX = 60.0
FORGET_S = 900.0
KEPT_MAX = 10_000


_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Tried:
    failures: int = 0
    last_s: float = 0.0


class Attempts:
    """Of one process, in memory; used from one thread. An attempt counts as failed from when it begins until it is `forgiven`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tried: dict[_Key, _Tried] = {}

    def wait_s(self, name: str, address: str) -> float:
        """How long until the next attempt may be made; 0: now."""
        now_s = self._clock.monotonic_s()
        return max(_pause_s(self._tried.get(key), free, now_s) for key, free in _keys(name, address))

    def begin(self, name: str, address: str) -> None:
        now_s = self._clock.monotonic_s()
        for key, _ in _keys(name, address):
            tried = self._tried.pop(key, None)
            if tried is None or now_s - tried.last_s >= FORGET_S:
                tried = _Tried()
            tried.failures, tried.last_s = tried.failures + 1, now_s
            self._tried[key] = tried  # the newest last, so that what goes first is the oldest
        while len(self._tried) > KEPT_MAX:
            del self._tried[next(iter(self._tried))]

    def forgive(self, name: str, address: str) -> None:
        """It was the right password. What others failed at stays counted."""
        (both, _), *others = _keys(name, address)
        self._tried.pop(both, None)
        for key, _ in others:
            if (tried := self._tried.get(key)) is not None:
                tried.failures = max(0, tried.failures - 1)


def _keys(name: str, address: str) -> list[tuple[_Key, int]]:
    """Each with how often it is free to fail."""
    name = name.lower()
    return [
        (("both", name, address), BOTH_FREE),
        (("address", "", address), ADDRESS_FREE),
        (("name", name, ""), NAME_FREE),
    ]


def _pause_s(tried: _Tried | None, free: int, now_s: float) -> float:
    if tried is None or tried.failures < free or now_s - tried.last_s >= FORGET_S:
        return 0.0
    pause_s = min(PAUSE_S_MAX, 2.0 ** min(tried.failures - free, 16))
    return max(0.0, tried.last_s + pause_s - now_s)
