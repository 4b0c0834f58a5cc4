"""The plugin that names what a run left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.files import ROOT

SAMPLE = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no Chromium here")
def test_one(): pass

def test_two(): pytest.skip("no Chromium here")

@pytest.mark.xfail(reason="known", strict=True)
def test_three(): assert False
"""


def run(folder: Path, *options: str, **variables: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TAILRACE_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-p", "tests.left_out", "-p", "no:cacheprovider", "-c", os.devnull]
    answer = subprocess.run(
        [*command, f"--rootdir={folder}", *options, str(folder)],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    return tmp_path


ALONE, SHARED = (), ("--numprocesses=2",)
ways = pytest.mark.parametrize("way", [ALONE, SHARED], ids=["alone", "shared"])


@ways
def test_each_reason_is_named_once_with_its_count(sample: Path, way: tuple[str, ...]) -> None:
    code, printed = run(sample, *way)
    assert code == 0
    assert "2 tests: no Chromium here" in printed
    assert "1 passed, 2 skipped, 1 xfailed" in printed


@ways
def test_a_whole_file_left_out_is_named(sample: Path, way: tuple[str, ...]) -> None:
    (sample / "test_whole.py").write_text("import pytest\npytest.skip('no Kafka', allow_module_level=True)\n")
    code, printed = run(sample, *way)
    assert code == 0
    assert "1 test: no Kafka" in printed


@ways
def test_tests_not_chosen_are_named(sample: Path, way: tuple[str, ...]) -> None:
    _, printed = run(sample, "-k", "runs", *way)
    assert "3 tests: not chosen on the command line" in printed


def test_nothing_left_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text("def test_runs(): pass\n")
    code, printed = run(tmp_path)
    assert code == 0
    assert "left out: nothing" in printed


def test_left_out_is_failure_where_everything_is_required(sample: Path) -> None:
    (sample / "test_whole.py").write_text("import pytest\npytest.skip('no Kafka', allow_module_level=True)\n")
    code, printed = run(sample, "--continue-on-collection-errors", TAILRACE_REQUIRE_ALL="1")
    assert code == 1
    assert "1 failed, 1 passed, 1 xfailed, 2 errors" in printed


@ways
def test_not_choosing_is_failure_where_everything_is_required(sample: Path, way: tuple[str, ...]) -> None:
    code, printed = run(sample, "-k", "runs", *way, TAILRACE_REQUIRE_ALL="1")
    assert code == 1
    assert "3 tests: not chosen on the command line" in printed


def test_a_reason_that_is_allowed_does_not_fail(sample: Path) -> None:
    code, printed = run(sample, TAILRACE_REQUIRE_ALL="1", TAILRACE_MAY_LEAVE_OUT="Chromium")
    assert code == 0
    assert "2 tests: no Chromium here" in printed
