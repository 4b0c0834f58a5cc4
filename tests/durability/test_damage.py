"""Flipped bits, cut files and zeroed pages: each reader shows exactly what was written, or says which file is damaged.

`TAILRACE_DAMAGE_CASES` tries more, `TAILRACE_DAMAGE_SEED` others.
"""

from __future__ import annotations

import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import Corrupt
from tailrace.stream.base import ProducerStamp
from tests.durability import readers
from tests.durability.life import one_view, post_lines
from tests.durability.readers import Reader
from tests.oracle.rig import Rig

SEED = int(os.environ.get("TAILRACE_DAMAGE_SEED", "5"))
CASES = int(os.environ.get("TAILRACE_DAMAGE_CASES", "3"))
PAGE = 4096
READERS = 3
"""Of each case, by chance."""
STREAM = (
    readers.lines,
    readers.retries,
    readers.dead_letters,
    readers.view,
    readers.tail,
    readers.sql,
    readers.batch_run,
)
KINDS: dict[str, tuple[str, tuple[Reader, ...]]] = {
    "open stream file": ("stream/*/00000002.db", STREAM),
    "closed stream file": ("stream/*/00000001.db", STREAM),
    "write-ahead log": ("stream/*/00000002.db-wal", STREAM),
    "mark": ("stream/*/end.mark", STREAM[:1]),
    "shards": ("stream/shards.json", STREAM[:1]),
    "lake data": ("lake/warehouse/logs/data/*/*.parquet", (readers.sql, readers.states_from_lake)),
    "lake metadata": ("lake/warehouse/logs/metadata/*", (readers.lake, readers.sql, readers.batch_run)),
    "catalog": ("lake/catalog.db*", (readers.lake, readers.sql, readers.batch_run)),
    "speed segment": ("states/speed/*/*.segment", (readers.view, readers.batch_run)),
    "batch segment": ("states/batch/*/*.parquet", (readers.view, readers.segments)),
    "manifest": ("manifest.db*", (readers.view, readers.batch_run)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's folder as a killed process leaves it: two files a shard, one of them split, a log that is not copied yet, a merged lake
    file, both sides of the frontier."""
    living, found = tmp_path_factory.mktemp("living"), tmp_path_factory.mktemp("damage") / "data"
    with one_view():
        rig = Rig(living, embedded=True)
        for number in range(12):
            rig.put(post_lines(number), ProducerStamp("life", 1, number))
            rig.clock.advance(9)
            rig.seal()
            rig.look()
            rig.read()
            if number in (0, 5, 8):
                rig.consume()
                rig.cycle()
                rig.look()
            if number == 5:
                rig.compact_lake()
            if number == 9:
                rig.stream.split(rig.open_shards()[0].id)
        shutil.copytree(living, found, ignore=shutil.ignore_patterns("*-shm", "views"))
        rig.close()
    assert list(found.glob("stream/*/00000002.db-wal"))
    return found


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Reader], Any]:
    """What a reader shows of the folder as it was written."""
    known: dict[Reader, Any] = {}

    def shown(reader: Reader) -> Any:
        if reader not in known:
            copy = tmp_path_factory.mktemp("whole") / "data"
            shutil.copytree(folder, copy)
            known[reader] = reader(copy)
        return known[reader]

    return shown


def damage(path: Path, chance: random.Random, case: int) -> str:
    """A flipped bit, a cut, a zeroed page, in turn."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    match case % 3:
        case 1:
            path.write_bytes(data[:at])
            return f"cut to {at} bytes"
        case 2:
            begin = at - at % PAGE
            data[begin : begin + PAGE] = bytes(len(data[begin : begin + PAGE]))
            path.write_bytes(data)
            return f"zeroed from {begin}"
        case _:
            data[at] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            return f"bit flipped at {at} of {len(data)}"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_or_without_effect(
    kind: str, folder: Path, whole: Callable[[Reader], Any], tmp_path: Path
) -> None:
    pattern, tried = KINDS[kind]
    chance = random.Random(SEED + zlib.crc32(kind.encode()))
    targets = sorted(p.relative_to(folder) for p in folder.glob(pattern) if p.stat().st_size)
    assert targets, pattern
    with one_view():
        for case in range(CASES):
            target = chance.choice(targets)
            damaged = tmp_path / f"damaged-{case}"
            shutil.copytree(folder, damaged)
            done = damage(damaged / target, chance, case)
            for n, reader in enumerate(chance.sample(tried, min(READERS, len(tried)))):
                copy = tmp_path / f"{case}-{n}"
                shutil.copytree(damaged, copy)
                check(reader, copy, whole(reader), f"{target} {done}", target)
                shutil.rmtree(copy)


def check(reader: Reader, folder: Path, wanted: Any, place: str, target: Path) -> None:
    try:
        found: Any = reader(folder)
    except Corrupt as error:
        problem = error
    except Exception as error:
        raise AssertionError(f"{place}: {reader.__name__} raised {type(error).__name__}: {error}") from error
    else:
        assert found == wanted, f"{place}: {reader.__name__} shows something else"
        return
    shard = next((part for part in target.parts if part.startswith("shardId-")), target.parts[0])
    assert any(name in str(problem) for name in (target.name.removesuffix("-wal"), shard)), f"{place}: {problem}"
    assert problem.hint
