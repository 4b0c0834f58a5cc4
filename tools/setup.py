"""Make `.venv` from `uv.lock`, on a machine that has Python with pip and little else.

Called by the Makefile with whatever Python the machine has: it uses the standard library only, and no syntax that an old
Python cannot read, so that one can say that it is too old. It fetches uv with pip into `.tools/` unless a new enough uv
is on PATH, then lets uv do the work. It writes outside the repository only to uv's own cache, never downloads a Python,
and never changes the machine's own packages.

    python3 tools/setup.py                install what `uv.lock` says, with the tools for development
    python3 tools/setup.py --run-only     only what `tailrace` itself needs
    python3 tools/setup.py --with GROUP   a group of dependencies besides, for example fuzz
    python3 tools/setup.py --rebuild      also build the project, and with it the dashboard, again
    python3 tools/setup.py --lock         write `uv.lock` anew from `pyproject.toml`
    python3 tools/setup.py --check-lock   fail if `uv.lock` does not fit `pyproject.toml`
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
PYTHON_MINIMUM = (3, 11)
UV_VERSION = "0.13.9"
UV_MINIMUM = (0, 9)

# An index that a person has set would be written into the lock, or make uv call a good lock stale.
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class SetupError(Exception):
    """Something the person at the keyboard has to mend; the text says how."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Make .venv from uv.lock.")
    parser.add_argument("--run-only", action="store_true", help="leave the development tools out")
    parser.add_argument("--with", dest="group", default="", help="install this group of dependencies besides")
    parser.add_argument("--rebuild", action="store_true", help="build the project and its dashboard again")
    parser.add_argument("--lock", action="store_true", help="write uv.lock anew")
    parser.add_argument("--check-lock", action="store_true", help="fail if uv.lock does not fit pyproject.toml")
    options = parser.parse_args(arguments)
    try:
        check_python()
        pip = read_pip_settings()
        uv = find_uv() or install_uv()
        environment = uv_environment(os.environ, pip)
        if options.lock or options.check_lock:
            return lock(uv, environment, check=options.check_lock)
        index = index_in_force(os.environ, pip)
        return sync(uv, environment, index, options.run_only, options.rebuild, options.group)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 3


def check_python() -> None:
    if sys.version_info < PYTHON_MINIMUM:
        wanted = ".".join(map(str, PYTHON_MINIMUM))
        raise SetupError(
            f"Python {wanted} or newer is needed, `{sys.executable}` is {sys.version.split()[0]}; "
            f"name another with: make PYTHON=/path/to/python{wanted}"
        )


# ---- uv --------------------------------------------------------------------------------------------------------------


def find_uv() -> str | None:
    """The uv to use: one on PATH that is new enough, else the one in `.tools`, else none."""
    for candidate in (shutil.which("uv"), str(TOOLS / "uv" / "bin" / "uv")):
        version = uv_version(candidate) if candidate else None
        if version and version >= UV_MINIMUM:
            return candidate
    return None


def uv_version(uv: str) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", answer)
    return tuple(map(int, found.groups())) if found else None


def install_uv() -> str:
    """Fetch the pinned uv with pip into `.tools/uv`, complete or not at all.

    `--target` writes to a folder of ours, so that a pip that guards the system's packages (PEP 668) allows it.
    """
    if importlib.util.find_spec("pip") is None:
        raise SetupError(f"`{sys.executable}` has no pip; on Debian: apt-get install python3-pip")
    print(f"setup: fetching uv {UV_VERSION} into .tools/ (18 MB, once)", flush=True)
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="uv-") as scratch:
        target = Path(scratch) / "uv"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-warn-script-location", "--target", str(target), f"uv=={UV_VERSION}"]
        environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "PIP_USER": "0"}
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            raise SetupError("pip could not fetch uv (see above); is a package index reachable?")
        shutil.rmtree(TOOLS / "uv", ignore_errors=True)
        target.rename(TOOLS / "uv")
    return str(TOOLS / "uv" / "bin" / "uv")


# ---- the machine's settings ------------------------------------------------------------------------------------------


def read_pip_settings() -> dict[str, str]:
    """Pip's settings from its files and the environment, by plain name: `{"cert": ..., "index-url": ...}`."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return parse_pip_settings(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def parse_pip_settings(listed: str) -> dict[str, str]:
    settings = {}
    # Pip prints the environment first, but the environment wins.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        found = re.match(r"(?:global|install|:env:)\.([a-z-]+)='(.*)'$", line)
        if found:
            settings[found.group(1)] = found.group(2)
    return settings


def uv_environment(environment: os._Environ[str] | dict[str, str], pip: dict[str, str]) -> dict[str, str]:
    """What uv, and the Node that builds the dashboard, run with.

    They trust whom the machine and its pip trust, keep to the Python that is there, and need no home folder.
    """
    result = {name: value for name, value in environment.items() if name not in ("VIRTUAL_ENV", *INDEX_VARIABLES)}
    result["UV_PYTHON_DOWNLOADS"] = "never"
    result["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    candidates = (pip.get("cert"), ssl.get_default_verify_paths().cafile, *CA_BUNDLES)
    bundle = next((path for path in candidates if path and Path(path).is_file()), None)
    if bundle:
        result.setdefault("SSL_CERT_FILE", bundle)
        result.setdefault("NODE_EXTRA_CA_CERTS", result["SSL_CERT_FILE"])
    home = result.get("HOME", "")
    if not (home and os.access(home, os.W_OK)):
        result.setdefault("UV_CACHE_DIR", str(TOOLS / "cache"))
        result["HOME"] = str(TOOLS / "home")
        Path(result["HOME"]).mkdir(parents=True, exist_ok=True)
    return result


def index_in_force(environment: os._Environ[str] | dict[str, str], pip: dict[str, str]) -> str | None:
    """The package index this machine is told to use instead of the public one; none if it is not told."""
    return environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL") or pip.get("index-url")


# ---- the work --------------------------------------------------------------------------------------------------------


def sync(
    uv: str, environment: dict[str, str], index: str | None, run_only: bool, rebuild: bool, group: str = ""
) -> int:
    if not VENV.exists():
        print("setup: installing into .venv and building the dashboard (once; a minute or two)", flush=True)
    if index:
        return sync_from_index(uv, environment, index, run_only, group)
    command = [uv, "sync", "--locked", *python_choice()]
    # `--inexact`: `make demo` after `make test` must not take the tools away again.
    command += ["--no-default-groups", "--inexact"] if run_only else []
    command += ["--group", group] if group else []
    command += ["--reinstall-package", "tailrace"] if rebuild else []
    return run(command, environment)


def sync_from_index(uv: str, environment: dict[str, str], index: str, run_only: bool, group: str = "") -> int:
    """Install the locked versions from another index.

    The lock names files of the public index. A mirror has the same files under other addresses, so the versions and
    hashes are exported and fetched by name.
    """
    wanted = TOOLS / "requirements.txt"
    TOOLS.mkdir(exist_ok=True)
    export = [uv, "export", "--quiet", "--frozen", "--no-emit-project", "--output-file", str(wanted)]
    export += ["--no-default-groups"] if run_only else []
    export += ["--group", group] if group else []
    steps = [] if VENV.exists() else [[uv, "venv", *python_choice(), str(VENV)]]
    install = [uv, "pip", "install", "--python", str(VENV), "--default-index", index]
    steps += [export, [*install, "--require-hashes", "--requirements", str(wanted)]]
    steps += [[*install, "--no-deps", "--editable", str(ROOT)]]
    for step in steps:
        code = run(step, environment)
        if code != 0:
            return code
    return 0


def python_choice() -> list[str]:
    """Keep the Python of a `.venv` that works; a new one gets the Python that runs this."""
    current = VENV / "bin" / "python"
    if current.exists():
        return ["--python", str(current)]
    return ["--python", sys.executable]


def lock(uv: str, environment: dict[str, str], check: bool) -> int:
    # Without the user's configuration, so that everyone writes the same lock.
    command = [uv, "--no-config", "lock", *python_choice(), *(["--check", "--quiet"] if check else [])]
    code = run(command, environment)
    if check and code != 0:
        print("setup: `uv.lock` does not fit `pyproject.toml`; run: make lock", file=sys.stderr)
    return code


def run(command: list[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
