"""When a data file that the newest snapshot does not name may be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tailrace.batch.lake.outdated import AGE_US, Outdated

if TYPE_CHECKING:
    from pathlib import Path

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.parquet"
    made.touch()
    return made


def unnamed(path: Path) -> Outdated:
    """`path` was named by snapshots 1 and 2, which have gone at NOW_US."""
    outdated = Outdated({path: {1, 2}})
    outdated.before_expiry({2, 3}, NOW_US - 1)
    outdated.after_expiry({2, 3})
    assert outdated.keepers == {2}
    outdated.before_expiry({3}, NOW_US)
    outdated.after_expiry({3})
    assert outdated.keepers == set()
    return outdated


def test_a_file_goes_ten_minutes_after_the_last_snapshot_that_names_it(path: Path) -> None:
    outdated = unnamed(path)
    assert outdated.delete_old(NOW_US + AGE_US - 1, set()) == 0
    assert path.exists()
    assert outdated.delete_old(NOW_US + AGE_US, set()) == 1
    assert not path.exists()
    assert not outdated


def test_a_file_that_is_named_stays_however_old_it_is(path: Path) -> None:
    outdated = Outdated({path: {1}})
    assert outdated.delete_old(NOW_US * 2, set()) == 0
    assert path.exists()


def test_a_file_that_the_table_names_again_is_not_ours_to_delete(path: Path) -> None:
    outdated = unnamed(path)
    assert outdated.delete_old(NOW_US + AGE_US, {path}) == 0
    assert path.exists()
    assert not outdated


def test_a_file_that_somebody_else_has_deleted_is_forgotten(path: Path) -> None:
    outdated = Outdated({path: {1}})
    path.unlink()
    outdated.before_expiry(set(), NOW_US)
    outdated.after_expiry(set())
    assert outdated.delete_old(NOW_US, set()) == 0
    assert not outdated
