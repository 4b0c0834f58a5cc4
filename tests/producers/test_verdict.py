"""What verify concludes from what it was told, against a count by hand."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tailrace.producers.verification.expected import NONE, Expected, Key, Sums
from tailrace.producers.verification.judge import Found, Verdict, judge, ledger_problems, unequal

KEYS = [Key(window, "s", endpoint, 200) for window in (1, 2) for endpoint in ("/a", "/b")]
copies = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 9), st.sampled_from([0, 1, 1, 1, 2, 3])), max_size=30)
others = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 9)), max_size=5)


def added(pairs: list[tuple[Key, int]]) -> dict[Key, Sums]:
    found: dict[Key, Sums] = {}
    for key, us in pairs:
        found[key] = found.get(key, NONE).plus(Sums(1, us))
    return found


@given(copies, others)
def test_missing_and_doubled_lines_are_counted_whatever_else_is_there(
    lines: list[tuple[Key, int, int]], strangers: list[tuple[Key, int]]
) -> None:
    """Each line of a run is stored `n` times."""
    sent = added([(key, us) for key, us, _ in lines])
    own = added([(key, us) for key, us, n in lines for _ in range(n)])
    view = added([(key, us) for key, us, n in lines for _ in range(n)] + strangers)
    distinct = Counter(key for key, _, n in lines if n)
    logs = {key: Found(view.get(key, NONE), own.get(key, NONE), distinct[key]) for key in view}
    found = judge(sent, view, logs, unequal(sent, view))
    # What differs only in ways that cancel out to the last digit is not looked at, and cannot be told from the view.
    looked = set(unequal(sent, view))
    missing = sum(n == 0 for key, _, n in lines if key in looked)
    doubled = sum(n - 1 for key, _, n in lines if n > 1 and key in looked)
    assert (sum(f.missing for f in found), sum(f.doubled for f in found)) == (missing, doubled)


def test_a_view_that_differs_from_the_logs_is_told_apart_from_lost_lines() -> None:
    key = KEYS[0]
    [found] = judge({key: Sums(5, 50)}, {key: Sums(4, 40)}, {key: Found(Sums(5, 50), Sums(5, 50), 5)}, [key])
    assert (found.what, found.missing, found.doubled) == ("the view differs from the logs", 1, 0)
    [found] = judge({key: Sums(5, 50)}, {key: Sums(5, 51)}, {key: Found(Sums(5, 51), Sums(5, 51), 5)}, [key])
    assert found.what == "response times differ"


def test_the_sentence() -> None:
    expected = Expected(lines=3_200_000)
    assert Verdict(expected).sentence() == "3,200,000 sent, 3,200,000 counted once, 0 missing, 0 doubled"
    expected.dead.update(malformed=4)
    assert Verdict(expected).sentence() == (
        "3,200,000 sent, 3,199,996 counted once, 4 dead letters, 0 missing, 0 doubled"
    )


def test_the_ledger_must_have_grown_by_what_was_sent() -> None:
    book = {"stored": 100, "dead_lettered": 2, "deduplicated": 0, "received": 102}
    state = {"ledger": {**book, "balanced": True, "first_difference": None}, "views": [{"name": "v", "drift_rows": 0}]}
    expected = Expected(lines=52, ledger=dict.fromkeys(book, 0) | {"stored": 50})
    expected.dead.update(malformed=2)
    assert ledger_problems(expected, state) == []
    expected.lines += 1
    assert ledger_problems(expected, state) == [
        "the ledger's `stored` grew by 50 since the run began, must be at least 51"
    ]
    state["views"][0]["drift_rows"] = 3
    assert "speed and batch differ in 3 rows of v" in ledger_problems(expected, state)
