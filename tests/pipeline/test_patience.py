"""A process that finds its files damaged says so and waits; it begins once they are mended, and ends when told."""

import threading

import pytest

from tailrace.errors import Corrupt
from tailrace.pipeline import patience


def test_it_tries_again_until_it_can(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    patience_s = patience.RETRY_S
    monkeypatch.setattr(patience, "RETRY_S", 0.001)
    tries = iter([Corrupt("a.db", "it is cut off"), Corrupt("a.db", "it is cut off"), "made"])

    def make() -> str:
        found = next(tries)
        if isinstance(found, Corrupt):
            raise found
        return found

    assert patience.patiently(make, threading.Event()) == "made"
    assert caplog.text.count("a.db") == 2
    assert patience_s >= 1


def test_it_ends_when_told() -> None:
    stop = threading.Event()

    def make() -> str:
        stop.set()
        raise Corrupt("a.db", "it is cut off")

    assert patience.patiently(make, stop) is None
