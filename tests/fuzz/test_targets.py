"""Each target on its seeds, on what was found once, and on some random changes of them. `make fuzz` does it for long.

`TAILRACE_FUZZ_SEED` tries other changes, `TAILRACE_FUZZ_CASES` more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.errors import Corrupt, Invalid
from tests.fuzz.mutate import mutations
from tests.fuzz.target import FOUND, Target, TooSlowError, bounded, check
from tests.fuzz.targets import TARGETS

SEED = int(os.environ.get("TAILRACE_FUZZ_SEED", "1"))
CASES = int(os.environ.get("TAILRACE_FUZZ_CASES", "60"))
FINDINGS = [(target, path) for target in TARGETS.values() for path in target.found()]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds(name: str) -> None:
    target = TARGETS[name]
    for data in (*target.seeds, b"", *mutations(target, CASES, SEED)):
        try:
            check(target, data)
        except Exception as error:
            raise AssertionError(f"{name} {data!r}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize(("target", "path"), FINDINGS, ids=[f"{t.name}-{p.name}" for t, p in FINDINGS])
def test_what_was_found_once_stays_mended(target: Target, path: Path) -> None:
    check(target, path.read_bytes())


def test_each_target_takes_some_of_its_seeds() -> None:
    """A target whose parser refuses everything tests nothing."""
    for target in TARGETS.values():
        assert any(_taken(target, seed) for seed in target.seeds), target.name


def _taken(target: Target, data: bytes) -> bool:
    try:
        target.run(data)
    except target.refuses:
        return False
    return True


def test_findings_belong_to_targets() -> None:
    folders = {path.name for path in FOUND.iterdir() if path.is_dir()}
    assert folders <= TARGETS.keys()


@pytest.mark.parametrize("error", [ValueError("x"), KeyError(), Corrupt("file", "x"), RecursionError(), Invalid("")])
def test_what_is_not_a_clear_refusal_is_a_finding(error: Exception) -> None:
    def run(data: bytes) -> None:
        raise error

    with pytest.raises((type(error), AssertionError)):
        check(Target("x", "", run, (b"",)), b"")


def test_a_hang_is_a_finding() -> None:
    def forever() -> Iterator[None]:
        while True:
            yield

    with pytest.raises(TooSlowError), bounded(0.05):
        for _ in forever():
            pass
