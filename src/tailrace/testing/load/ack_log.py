"""What was acknowledged, in a few bytes: the plan, and how many posts of each sender, as each sees one post through before the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tailrace.testing.load.plan import LoadPlan


@dataclass(frozen=True, slots=True)
class Acked:
    """`posts[s]`: posts 0 to `posts[s]` - 1 of sender s were acknowledged."""

    plan: LoadPlan
    posts: tuple[int, ...]


def begin(path: Path, plan: LoadPlan) -> None:
    path.write_text(json.dumps({"plan": asdict(plan)}) + "\n")


def note(path: Path, posts: Sequence[int]) -> None:
    """So many posts of each sender by now."""
    with path.open("a") as file:
        file.write(json.dumps({"posts": list(posts)}) + "\n")


def read(path: Path) -> Acked:
    """As the last whole line says."""
    first, *rest = path.read_text().splitlines()
    plan = LoadPlan(**json.loads(first)["plan"])
    for line in reversed(rest):
        try:
            return Acked(plan, tuple(json.loads(line)["posts"]))
        except ValueError:
            continue
    return Acked(plan, (0,) * plan.senders)
