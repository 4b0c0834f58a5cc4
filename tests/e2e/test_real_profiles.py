"""Traffic that is made from real data is like it: an access log of a web site, and the RPC timings of two systems of services."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.cli.main import main
from tailrace.producers.profile.compare import Comparison, compare, read_side
from tailrace.producers.profile.learn import learn


def made_and_compared(base: Path, folder: Path, rate: int) -> Comparison:
    path = folder / "made.ndjson"
    words = f"--base {base} --to file://{path} --rate {rate} --duration 2s --no-manifest --json"
    assert main(["produce", *words.split()]) == 0
    return compare(read_side(base), read_side(path))


def test_an_access_log(shared_data: Path, tmp_path: Path) -> None:
    base = shared_data / "apache_access.log"
    learned = learn(base)
    assert (len(learned.base), learned.base.skipped, learned.times_known) == (10_000, 0, False)
    assert learned.profile.addresses.count == 1_753
    found = made_and_compared(base, tmp_path, 10_000)
    assert found.mix < 0.04
    assert found.statuses < 0.02
    assert found.zipf[1] == pytest.approx(found.zipf[0], abs=0.05)


@pytest.mark.parametrize("name", ["eshopper_000.csv", "trainticket_140.csv"])
def test_timings_of_services(shared_data: Path, tmp_path: Path, name: str) -> None:
    found = made_and_compared(shared_data / "icpe" / name, tmp_path, 15_000)
    assert found.times is not None
    assert found.times < 0.05
    assert max(found.times_by_endpoint.values()) < 0.12
    assert found.mix < 0.02
