"""`tools/setup.py`: what it takes from the machine, and what it keeps out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tools import setup


def test_index_settings_do_not_reach_uv() -> None:
    found = setup.uv_environment({"HOME": "/tmp", "UV_DEFAULT_INDEX": "http://mirror", "UV_INDEX": "http://other"}, {})
    assert not set(found) & set(setup.INDEX_VARIABLES)


def test_uv_and_node_trust_the_authority_that_pip_is_told_to_trust(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    found = setup.uv_environment({"HOME": str(tmp_path)}, {"cert": str(bundle)})
    assert found["SSL_CERT_FILE"] == found["NODE_EXTRA_CA_CERTS"] == str(bundle)


def test_an_authority_in_the_environment_wins(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    found = setup.uv_environment({"HOME": str(tmp_path), "SSL_CERT_FILE": "/mine"}, {"cert": str(bundle)})
    assert found["SSL_CERT_FILE"] == found["NODE_EXTRA_CA_CERTS"] == "/mine"


@pytest.mark.parametrize("home", [None, "", "/does/not/exist"])
def test_without_a_home_folder_caches_go_into_the_repository(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "TOOLS", tmp_path)
    found = setup.uv_environment({} if home is None else {"HOME": home}, {})
    assert found["UV_CACHE_DIR"] == str(tmp_path / "cache")
    assert Path(found["HOME"]).is_dir()


def test_a_home_folder_that_works_is_kept(tmp_path: Path) -> None:
    found = setup.uv_environment({"HOME": str(tmp_path)}, {})
    assert found["HOME"] == str(tmp_path)
    assert "UV_CACHE_DIR" not in found


def test_no_python_is_ever_downloaded() -> None:
    assert setup.uv_environment({"UV_PYTHON_DOWNLOADS": "automatic"}, {})["UV_PYTHON_DOWNLOADS"] == "never"


def test_pip_settings_of_the_environment_win_over_files() -> None:
    listed = ":env:.index-url='http://env.example/simple'\n:env:.disable-pip-version-check='1'\n"
    listed += "global.index-url='http://file.example/simple'\ninstall.timeout='7'\n"
    found = setup.parse_pip_settings(listed)
    assert found == {"index-url": "http://env.example/simple", "disable-pip-version-check": "1", "timeout": "7"}


def test_uv_on_path_is_used_only_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    uv = write_program(tmp_path / "uv", "echo 'uv 0.8.22 (abc 2025-09-01)'")
    assert setup.find_uv() is None
    write_program(uv, "echo 'uv 0.9.0 (abc 2025-10-01)'")
    assert setup.find_uv() == str(uv)


def test_uv_that_cannot_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert setup.find_uv() is None
    (tmp_path / "uv" / "bin").mkdir(parents=True)
    ours = write_program(tmp_path / "uv" / "bin" / "uv", f"echo 'uv {setup.UV_VERSION} (abc 2026-11-01)'")
    assert setup.find_uv() == str(ours)


def test_another_index_gets_the_locked_versions_by_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    uv = write_program(tmp_path / "uv", f'echo "$*" >> {log}')
    monkeypatch.setattr(setup, "TOOLS", tmp_path)
    code = setup.sync(str(uv), dict(os.environ), "http://mirror.example/simple", run_only=True, rebuild=False)
    assert code == 0
    export, install, project = log.read_text().splitlines()[-3:]
    assert "export" in export
    assert "--frozen" in export
    assert "--default-index http://mirror.example/simple --require-hashes" in install
    assert "--editable" in project


@pytest.mark.parametrize("index", [None, "http://mirror.example/simple"])
def test_a_group_that_is_asked_for_comes_besides(
    index: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    uv = write_program(tmp_path / "uv", f'echo "$*" >> {log}')
    monkeypatch.setattr(setup, "TOOLS", tmp_path)
    assert setup.sync(str(uv), dict(os.environ), index, run_only=False, rebuild=False, group="fuzz") == 0
    assert any("--group fuzz" in line and "--no-default-groups" not in line for line in log.read_text().splitlines())
    log.unlink()
    assert setup.sync(str(uv), dict(os.environ), index, run_only=False, rebuild=False) == 0
    assert "--group" not in log.read_text()


def write_program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
