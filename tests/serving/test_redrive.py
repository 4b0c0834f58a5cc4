"""Dead letters sent again: read anew, appended once, marked; and whatever still cannot be read stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tailrace.batch.dead_letters import DeadLetterStore, copy_dead_letters
from tailrace.config.settings import Settings, StreamSettings
from tailrace.errors import Invalid, NotFound
from tailrace.formats.base import Limits
from tailrace.formats.decode import decode
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock
from tailrace.serving.dead_letters import DeadLetters
from tailrace.serving.redrive import Redrive, Redriven, Redriver
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.base import ReadRequest
from tailrace.stream.dead_letters import DeadLetter
from tailrace.stream.partitioning import split

ACCESS = b'203.0.113.%d - - [22/Nov/2026:10:00:00 +0000] "GET /a/%d HTTP/1.1" 200 12 "-" "curl"'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(tmp_path: Path, clock: ManualClock) -> Iterator[EmbeddedStream]:
    opened = open_embedded(tmp_path / "logs", StreamSettings(), DEFAULT_FIELDS, clock)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> DeadLetterStore:
    return DeadLetterStore(tmp_path / "deadletters.db")


@pytest.fixture
def redriver(stream: EmbeddedStream, store: DeadLetterStore, clock: ManualClock, tmp_path: Path) -> Redriver:
    return Redriver(stream, store, Settings(data_dir=tmp_path, views_dir=tmp_path), clock)


def post(stream: EmbeddedStream, lines: Sequence[bytes], format_name: str = "json") -> None:
    found = decode(b"\n".join(lines), format_name, DEFAULT_FIELDS, Limits())
    for batch in split(found.columns, found.raw, found.keys, stream.shards(), found.lines):
        stream.append(batch).result()


def stored(stream: EmbeddedStream) -> list[str]:
    """Endpoints of the records that the stream holds."""
    found: list[str] = []
    for shard in stream.shards():
        offset, end = 0, stream.end(shard.id).next_offset
        while offset < end:
            for block in stream.read(ReadRequest(shard.id, offset)):
                assert block.columns is not None
                rows = zip(block.columns["verdict"].to_pylist(), block.columns["endpoint"].to_pylist(), strict=True)
                found += [str(endpoint) for verdict, endpoint in rows if verdict == 0]
                offset = block.last_offset + 1
    return sorted(found)


def test_lines_posted_in_the_wrong_format(stream: EmbeddedStream, store: DeadLetterStore, redriver: Redriver) -> None:
    lines = [ACCESS % (n, n) for n in range(50)] + [b"neither"]
    post(stream, lines)
    preview = redriver.run(Redrive(format="combined", preview=True))
    assert (preview.looked_at, preview.readable, preview.unreadable, preview.accepted) == (51, 50, 1, 0)
    assert preview.reasons == {"does not parse in the declared format": 1}
    assert {str(s.record["endpoint"]) for s in preview.samples if s.record} <= {f"/a/{n}" for n in range(50)}
    assert (stored(stream), store.count()) == ([], 0)

    done = redriver.run(Redrive(format="combined"))
    assert (done.readable, done.accepted, done.deduplicated) == (50, 50, 0)
    assert stored(stream) == sorted(f"/a/{n}" for n in range(50))
    again = redriver.run(Redrive(format="combined"))
    assert (again.looked_at, again.readable, again.accepted) == (1, 0, 0)
    assert len(stored(stream)) == 50


def test_chosen_ones(stream: EmbeddedStream, redriver: Redriver, store: DeadLetterStore) -> None:
    post(stream, [ACCESS % (1, 1), ACCESS % (2, 2), b'{"endpoint":"/no-stamp"}'])
    letters = DeadLetters(stream, store)
    chosen = next(letter for letter in letters.newest(9) if b"/a/2" in letter.raw)
    assert redriver.run(Redrive(ids=(chosen.id, chosen.id), format="combined")).accepted == 1
    assert stored(stream) == ["/a/2"]
    again = redriver.run(Redrive(ids=(chosen.id,), format="combined"))
    assert (again.looked_at, again.already, again.accepted) == (1, 1, 0)
    kinds = redriver.run(Redrive(verdict="no_timestamp", preview=True))
    assert (kinds.looked_at, kinds.unreadable) == (1, 1)
    with pytest.raises(NotFound):
        redriver.run(Redrive(ids=("0-999",)))
    with pytest.raises(Invalid):
        redriver.run(Redrive(format="no such format"))


@pytest.mark.parametrize("copied", [False, True])
def test_one_that_was_killed_before_it_noted_its_end_counts_once(
    stream: EmbeddedStream, store: DeadLetterStore, redriver: Redriver, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    class Killed(Exception):
        pass

    def die(letters: Sequence[DeadLetter], now_us: int) -> None:
        raise Killed

    post(stream, [ACCESS % (n, n) for n in range(30)])
    with monkeypatch.context() as patched:
        patched.setattr(store, "end_redrive", die)
        with pytest.raises(Killed):
            redriver.run(Redrive(format="combined"))
    if copied:
        for shard in stream.shards():
            stream.seal(shard.id)
        copy_dead_letters(stream, store, {shard.id: 1 for shard in stream.shards()})
    # Another key this time: it goes where it went all the same.
    done = redriver.run(Redrive(format="combined", key_field="ip"))
    assert (done.readable, done.accepted, done.deduplicated) == (30, 0, 30)
    assert len(stored(stream)) == 30
    assert redriver.run(Redrive(format="combined")).looked_at == 0


def test_lines_that_would_change_how_their_neighbours_are_read(stream: EmbeddedStream, redriver: Redriver) -> None:
    stamp = '"timestamp":"2026-11-22T10:00:00Z"'
    post(stream, [b"[{%s}" % stamp.encode(), b'{"endpoint":"/late"}', b"{"], "combined")
    found = redriver.run(Redrive(preview=True))
    assert (found.looked_at, found.readable, found.unreadable) == (3, 0, 3)


def test_a_line_without_a_key_and_one_per_stretch(stream: EmbeddedStream, redriver: Redriver) -> None:
    """More letters than share a stamp."""
    post(stream, [ACCESS % (n % 250, n) for n in range(70_000)])
    found: Redriven = redriver.run(Redrive(format="combined", key_field="trace_id"))
    assert (found.accepted, found.deduplicated) == (70_000, 0)
    assert len(set(stored(stream))) == 70_000
