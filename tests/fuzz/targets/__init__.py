"""The targets, by name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import asked, kinesis, lines, posts, sql, stored, toml, values, ways_in

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (lines, posts, kinesis, asked, values, toml, sql, stored, ways_in)
    for target in module.TARGETS
}
