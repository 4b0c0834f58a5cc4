"""The sources of the page: types hold everywhere, and its pure parts do what they say (web/tests)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture(scope="module")
def node_binary() -> str:
    """The Node that drives playwright; it is new enough to run TypeScript as it is, so none is needed on the machine."""
    driver = pytest.importorskip(
        "playwright._impl._driver", reason="the package `playwright` is not installed: uv sync"
    )
    if not (WEB / "node_modules" / "svelte-check").is_dir():
        pytest.skip("web/node_modules is not installed: make web")
    binary = str(driver.compute_driver_executable()[0])
    assert shutil.which(binary), binary
    return binary


@pytest.mark.slow
def test_types_hold_and_nothing_warns(node_binary: str) -> None:
    check = [
        node_binary,
        "node_modules/svelte-check/bin/svelte-check",
        "--tsconfig",
        "./tsconfig.json",
        "--fail-on-warnings",
    ]
    done = subprocess.run(check, cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pure_parts(node_binary: str) -> None:
    done = subprocess.run(
        [node_binary, "--test", "tests/**/*.test.ts"], cwd=WEB, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass 0" not in done.stdout


def test_the_lock_names_no_registry() -> None:
    lock = (WEB / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved": "http' not in lock
    assert (WEB / ".npmrc").read_text().strip() == "omit-lockfile-registry-resolved=true"
