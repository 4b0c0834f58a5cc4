"""Folders written before there were checksums: read, written on, and handed over as they are."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tailrace.batch.lake.parquet import name_checksum
from tailrace.errors import Corrupt
from tailrace.runtime.mark import MARK_FILE
from tailrace.states.manifest import ManifestStore, ViewStates
from tailrace.stream.backends.embedded.dedupe import decode_lines, encode_lines
from tailrace.stream.base import ProducerStamp
from tests.durability.life import SHIPPED, one_view, post_lines
from tests.oracle.model import ENDPOINT_HEALTH, expected_rows, parse_all
from tests.oracle.rig import Rig


def made_old(folder: Path) -> None:
    """Take away what today's Tailrace adds."""
    for mark in folder.rglob(MARK_FILE):
        mark.unlink()
    for checksum in folder.rglob(".*.crc"):
        checksum.unlink()
    layout = folder / "stream" / "shards.json"
    document = json.loads(layout.read_bytes())
    del document["checksum"]
    layout.write_text(json.dumps(document))
    for path in folder.glob("stream/*/*.db"):
        with closing(sqlite3.connect(path)) as connection:
            for table in ("about", "state", "epochs"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
            for table in ("state", "epochs"):
                connection.execute(f"ALTER TABLE {table} DROP COLUMN record_hash")
                connection.execute(f"ALTER TABLE {table} DROP COLUMN hash_columns")
            connection.execute("UPDATE about SET schema_version = 1")
            for row in connection.execute("SELECT producer, producer_epoch, n, lines FROM dedupe").fetchall():
                plain = encode_lines(decode_lines(row[3][5:]))
                connection.execute(
                    "UPDATE dedupe SET lines = ? WHERE (producer, producer_epoch, n) = (?, ?, ?)", (plain, *row[:3])
                )
            connection.commit()
    with closing(sqlite3.connect(folder / "manifest.db")) as connection:
        for generation, body in connection.execute("SELECT generation, body FROM manifests").fetchall():
            manifest = msgspec.msgpack.decode(body[8:])
            for view in manifest["views"].values():
                for segment in view["segments"]:
                    for level in (segment, *segment["rollups"]):
                        del level["checksums"]
            connection.execute(
                "UPDATE manifests SET body = ? WHERE generation = ?", (msgspec.msgpack.encode(manifest), generation)
            )
        connection.commit()


def put(rig: Rig, numbers: range) -> None:
    for number in numbers:
        rig.put(post_lines(number), ProducerStamp("life", 1, number))


def test_an_older_folder_is_read_and_written_on(tmp_path: Path) -> None:
    with one_view():
        before = Rig(tmp_path, embedded=True)
        before.look()
        put(before, range(3))
        before.settle()
        put(before, range(3, 4))
        before.close()
        made_old(tmp_path)
        (tmp_path / "views").rmdir()
        after = Rig(tmp_path, embedded=True)
        after.look()
        assert all(
            isinstance(v, ViewStates) and not v.segments[0].checksums for v in after.store.current().views.values()
        )
        after.stream.split(after.open_shards()[0].id)
        put(after, range(6))
        after.settle()
        after.compact_lake()
        after.check()
        lines = [line for number in range(6) for line in post_lines(number)]
        assert after.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(lines))
        ends = [after.stream.end(shard.id).next_offset for shard in after.stream.shards()]
        assert sum(ends) == len(lines)
        after.close()


def test_old_names_of_lake_files_have_no_checksum() -> None:
    assert name_checksum(Path("0000000001-0000000002-0123456789abcdef.parquet")) is None
    assert name_checksum(Path("0000000001-0000000002-0123456789abcdef-00c0ffee.parquet")) == 0x00C0FFEE


@pytest.mark.parametrize("lost", ["catalog.db", "catalog.db-wal"])
def test_a_catalog_that_lost_its_table_costs_no_data_file(tmp_path: Path, lost: str) -> None:
    """Were it taken for a new lake, every data file would be removed as an orphan."""
    with one_view():
        rig = Rig(tmp_path, embedded=True)
        rig.look()
        put(rig, range(3))
        rig.settle()
        rig.close()
        kept = Counter(p.name for p in tmp_path.glob("lake/warehouse/logs/data/*/*"))
        (tmp_path / "lake" / "catalog.db").write_bytes(b"") if lost == "catalog.db" else _roll_back(tmp_path)
        with pytest.raises(Corrupt, match=r"catalog\.db"):
            rig.start_batch()
        assert Counter(p.name for p in tmp_path.glob("lake/warehouse/logs/data/*/*")) == kept != Counter()


def _roll_back(folder: Path) -> None:
    """As if the log with the last commit had gone."""
    with closing(sqlite3.connect(folder / "lake" / "catalog.db")) as connection:
        connection.execute("UPDATE iceberg_tables SET metadata_location = previous_metadata_location")
        connection.commit()


def test_a_manifest_under_another_number_is_refused(tmp_path: Path) -> None:
    with one_view():
        rig = Rig(tmp_path, embedded=True)
        rig.look()
        put(rig, range(2))
        rig.settle()
        rig.close()
    with closing(sqlite3.connect(tmp_path / "manifest.db")) as connection:
        connection.execute("UPDATE manifests SET generation = generation + 16")
        connection.commit()
    with pytest.raises(Corrupt, match=r"manifest\.db"):
        ManifestStore(tmp_path / "manifest.db").current()
