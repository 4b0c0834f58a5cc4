"""The lock files name the public default places and no machine's own mirror."""

from __future__ import annotations

import json
import re
import tomllib

from tests.repo.files import ROOT, repository_files
from tools import setup

PUBLIC_HOSTS = {"pypi.org", "files.pythonhosted.org"}


def test_uv_lock_names_only_the_public_index_and_its_file_host() -> None:
    hosts = set(re.findall(r"[a-z]+://([^/\"]+)", (ROOT / "uv.lock").read_text()))
    assert hosts == PUBLIC_HOSTS


def test_every_locked_file_has_a_hash() -> None:
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]:
            assert file["hash"].startswith("sha256:"), package["name"]


def test_package_lock_names_no_host() -> None:
    locks = [file for file in repository_files() if file.name == "package-lock.json"]
    for lock in locks:
        resolved = [p["resolved"] for p in json.loads(lock.read_text())["packages"].values() if "resolved" in p]
        assert [address for address in resolved if "://" in address] == []


def test_setup_and_project_agree_on_the_oldest_uv_and_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["uv"]["required-version"] == f">={'.'.join(map(str, setup.UV_MINIMUM))}"
    assert project["project"]["requires-python"] == f">={'.'.join(map(str, setup.PYTHON_MINIMUM))}"


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    groups += project["project"].get("optional-dependencies", {}).values()
    for requirement in (requirement for group in groups for requirement in group):
        assert re.search(r">=[\d.]+,<[\d.]+", requirement), requirement


def test_the_notice_names_every_package_of_the_page() -> None:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    shipped = {path.rpartition("node_modules/")[2] for path, about in packages.items() if path and not about.get("dev")}
    named = set(re.findall(r"^  (\S+)  ", (ROOT / "NOTICE").read_text(), re.MULTILINE))
    assert shipped - named == set()
