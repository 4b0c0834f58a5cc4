"""Expected against found, cell by cell, and the sentence that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tailrace.model.window import iso
from tailrace.producers.truth import WINDOW_US
from tailrace.producers.verification.expected import NONE, Cells, Expected, Key, Sums


@dataclass(frozen=True, slots=True)
class Found:
    """Of one cell in `logs`: all records, those of the runs, and how many different ones these are."""

    all: Sums
    own: Sums
    distinct: int


NOTHING = Found(NONE, NONE, 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """`view`: what the view counts; `own`: what of that is of the runs (where other traffic is in the same cell too)."""

    key: Key
    sent: Sums
    view: Sums
    missing: int
    doubled: int
    what: str

    def as_json(self) -> dict[str, Any]:
        return {
            "window": iso(self.key.window * WINDOW_US),
            "service": self.key.service,
            "endpoint": self.key.endpoint,
            "status": self.key.status,
            "sent": self.sent.records,
            "in_view": self.view.records,
            "missing": self.missing,
            "doubled": self.doubled,
            "response_ms_sent": self.sent.response_us / 1000,
            "response_ms_in_view": self.view.response_us / 1000,
            "what": self.what,
        }


def unequal(cells: Mapping[Key, Sums], view: Mapping[Key, Sums]) -> list[Key]:
    """Cells in which the view does not say what was sent: others may have sent there too."""
    return sorted(key for key, sums in cells.items() if view.get(key, NONE) != sums)


def judge(cells: Cells, view: Mapping[Key, Sums], logs: Mapping[Key, Found], keys: list[Key]) -> list[Difference]:
    """What is wrong in `keys`, of which `logs` is known. A cell is right if the logs have each line of the runs once, with its time,
    and the view counts what the logs have."""
    differences = []
    for key in keys:
        sent, seen, found = cells.get(key, NONE), view.get(key, NONE), logs.get(key, NOTHING)
        missing, doubled = sent.records - found.distinct, found.own.records - found.distinct
        if missing > 0 or doubled > 0:
            what = (
                "lines are missing" if doubled <= 0 else "lines are doubled" if missing <= 0 else "missing and doubled"
            )
        elif missing < 0:
            what = "lines that were not acknowledged"
        elif found.own != sent:
            what = "response times differ"
        elif seen != found.all:
            what = "the view differs from the logs"
            lost = found.all.records - seen.records
            missing, doubled = max(0, lost), max(0, -lost)
        else:
            continue
        differences.append(Difference(key, sent, seen, max(0, missing), max(0, doubled), what))
    return differences


@dataclass(slots=True)
class Verdict:
    """`others`: cells in which other traffic was too. `settled`: lines in doubt that the
    node turned out to have. `problems`: whatever else is wrong, a sentence each."""

    expected: Expected
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: int = 0
    settled: int = 0
    cells: int = 0
    windows: int = 0
    position: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        return sum(each.missing for each in self.differences)

    @property
    def doubled(self) -> int:
        return sum(each.doubled for each in self.differences)

    @property
    def counted(self) -> int:
        return self.expected.records + self.settled - self.missing - self.doubled

    @property
    def exact(self) -> bool:
        return not self.differences and not self.problems

    def sentence(self) -> str:
        """The one line that says it."""
        sent = self.expected.lines + self.settled
        dead = self.expected.dead.total()
        letters = f", {dead:,} dead letters" if dead else ""
        return (
            f"{sent:,} sent, {self.counted:,} counted once{letters}, {self.missing:,} missing, {self.doubled:,} doubled"
        )


def ledger_problems(expected: Expected, state: Mapping[str, Any]) -> list[str]:
    """What the node's ledger, drift check and dead letters say against it. `state`: of `/v1/pipeline`."""
    book, found = state["ledger"], list(expected.complaints)
    if not book["balanced"]:
        found.append(f"the ledger does not balance: {book['first_difference']}")
    found += [
        f"speed and batch differ in {v['drift_rows']} rows of {v['name']}" for v in state["views"] if v["drift_rows"]
    ]
    before = expected.ledger
    if before is None or before["received"] > book["received"]:
        return found
    must = {"stored": expected.records, "dead_lettered": expected.dead.total(), "deduplicated": expected.deduplicated}
    for name, least in must.items():
        grown = int(book[name]) - before[name]
        if grown < least:
            found.append(f"the ledger's `{name}` grew by {grown:,} since the run began, must be at least {least:,}")
    return found
