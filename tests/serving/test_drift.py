"""The comparison of the two layers: equal in any order is equal; one changed value, missing or doubled row is found and shown."""

import pyarrow as pa
import pytest

from tailrace.model.fields import TIMESTAMP_TYPE
from tailrace.serving.drift import SAMPLE_MAX, compare


def states(rows: list[tuple[int, str | None, int, int | None]]) -> dict[str, pa.Table]:
    starts, endpoints, s0, s1 = zip(*rows, strict=True) if rows else ((), (), (), ())
    return {
        "scalars": pa.table(
            {
                "window_start": pa.array(starts, TIMESTAMP_TYPE),
                "endpoint": pa.array(endpoints, pa.string()),
                "s0": pa.array(s0, pa.int64()),
                "s1": pa.array(s1, pa.int64()),
            }
        )
    }


BASE = [(0, "/a", 1, 10), (0, None, 2, None), (10, "/a", 3, 30)]


def test_order_does_not_matter() -> None:
    assert compare(states(BASE), states(BASE[::-1])) == (0, [])


@pytest.mark.parametrize(
    ("speed", "differing"),
    [
        ([*BASE[:2], (10, "/a", 4, 30)], 1),
        ([BASE[0], (0, None, 2, 0), BASE[2]], 1),
        (BASE[:2], 1),
        ([*BASE, (20, "/a", 1, 1)], 1),
        ([], 3),
        ([(0, "/b", 1, 10), *BASE[1:]], 2),
    ],
    ids=["value", "null against zero", "missing", "too many", "nothing", "other key"],
)
def test_every_difference_is_counted_and_shown(
    speed: list[tuple[int, str | None, int, int | None]], differing: int
) -> None:
    count, sample = compare(states(BASE), states(speed))
    assert count == differing
    assert len(sample) == differing
    assert {"table", "window_start", "endpoint", "batch_s0", "speed_s0"} <= sample[0].keys()


def test_the_sample_is_bounded() -> None:
    many = [(n, "/a", n, n) for n in range(100)]
    count, sample = compare(states(many), states([]))
    assert count == 100
    assert len(sample) == SAMPLE_MAX


def test_bins_and_registers_compare_by_their_value_column() -> None:
    def bins(n: int) -> dict[str, pa.Table]:
        return {
            "bins": pa.table(
                {
                    "window_start": pa.array([0], TIMESTAMP_TYPE),
                    "s0": ["a key that is named like a state"],
                    "agg": pa.array([0], pa.int16()),
                    "bin": pa.array([7], pa.int32()),
                    "n": pa.array([n], pa.int64()),
                }
            )
        }

    assert compare(bins(1), bins(1)) == (0, [])
    count, sample = compare(bins(1), bins(2))
    assert count == 1
    assert (sample[0]["batch_n"], sample[0]["speed_n"]) == ("1", "2")
