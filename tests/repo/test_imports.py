"""The import contracts of pyproject.toml hold, and each one fires on a planted violation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.files import ROOT

LAYERS = [
    "testing",
    "cli",
    "bench",
    "pipeline",
    "dashboard",
    "access",
    "alerts",
    "deploy",
    "serving",
    "speed",
    "batch",
    "ingest",
    "producers",
    "states",
    "views",
    "stream",
    "delivery",
    "access",
    "formats",
    "config",
    "telemetry",
    "runtime",
    "model",
]

PLANTED = {
    "lower imports higher": ("model/planted.py", "import tailrace.stream", "data flows one way"),
    "siblings meet": ("speed/planted.py", "import tailrace.batch", "data flows one way"),
    "a package nobody placed": ("newcomer/__init__.py", "", "data flows one way"),
    "backends meet": (
        "stream/backends/memory/planted.py",
        "import tailrace.stream.backends.embedded",
        "backends do not know each other",
    ),
    "a backend is named below the root": (
        "serving/planted.py",
        "import tailrace.stream.backends.embedded",
        "only the composition root names a backend",
    ),
    "a vendor's client in the open": ("serving/planted.py", "import pyiceberg", "vendor SDKs stay behind their seam"),
    "time": ("serving/planted.py", "import time", "time and chance come through runtime only"),
    "chance": ("producers/planted.py", "from random import Random", "time and chance come through runtime only"),
    "a socket": (
        "views/planted.py",
        "import socket",
        "the parts that only compute open no socket and start no process",
    ),
}

ALLOWED = {
    "the root names a backend": ("pipeline/planted.py", "import tailrace.stream.backends.embedded"),
    "the lake uses its vendor": ("batch/lake/planted.py", "import pyiceberg"),
    "runtime is the door to time": ("runtime/planted.py", "import time"),
}


def lint(folder: Path) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    command += ["--config", str(ROOT / "pyproject.toml")]
    answer = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout + answer.stderr


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A folder with an empty `tailrace` that has every layer, two stream backends and a lake."""
    packages = ["", *LAYERS, "stream/backends", "stream/backends/memory", "stream/backends/embedded", "batch/lake"]
    for package in packages:
        (tmp_path / "tailrace" / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / "tailrace" / package / "__init__.py").touch()
    (tmp_path / "tailrace" / "errors.py").touch()
    return tmp_path


def plant(skeleton: Path, file: str, text: str) -> None:
    path = skeleton / "tailrace" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n")


def test_the_product_keeps_every_contract() -> None:
    code, printed = lint(ROOT / "src")
    assert code == 0, printed


def test_an_empty_skeleton_keeps_every_contract(skeleton: Path) -> None:
    code, printed = lint(skeleton)
    assert code == 0, printed


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_reported(case: str, skeleton: Path) -> None:
    file, text, contract = PLANTED[case]
    plant(skeleton, file, text)
    code, printed = lint(skeleton)
    assert code == 1, printed
    assert f"{contract} BROKEN" in printed


@pytest.mark.parametrize("case", ALLOWED)
def test_what_the_seams_are_for_is_allowed(case: str, skeleton: Path) -> None:
    plant(skeleton, *ALLOWED[case])
    code, printed = lint(skeleton)
    assert code == 0, printed
