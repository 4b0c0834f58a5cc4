"""Apply each patch to a copy of the source, run the test that has to find it, and print the table.

    python -m tests.mutations.run [NAME ...] [--markdown]

A patch is found if its test runs and fails. One that no longer applies, or whose test cannot be run, is not. Exit code 1 unless all
are found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FAILED = 1
"""pytest's exit code when tests ran and some failed."""
TIMEOUT_S = 600


@dataclass(frozen=True)
class Mutation:
    """`rule`: what it undoes. `test`: the file that has to find it."""

    name: str
    rule: str
    test: str
    path: Path


def mutations() -> list[Mutation]:
    """All patches, by name."""
    found = []
    for path in sorted(HERE.glob("*.patch")):
        head = dict(line.split(": ", 1) for line in path.read_text().split("\n\n", 1)[0].splitlines())
        found.append(Mutation(path.stem, head["rule"], head["test"], path))
    return found


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Path]:
    """A copy of the repository's source, tests and settings with the patch applied."""
    with tempfile.TemporaryDirectory(prefix="tailrace-mutation-") as folder:
        copy = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        apply(mutation, copy)
        yield copy


def apply(mutation: Mutation, copy: Path, *, check: bool = False) -> None:
    """Raises CalledProcessError if the patch does not apply. `check`: only try."""
    words = ["git", "apply", *(["--check"] if check else []), str(mutation.path)]
    # Outside of a repository, so that git takes the copy for what it is.
    env = {**os.environ, "GIT_DIR": str(copy / "no-repository"), "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    subprocess.run(words, cwd=copy, check=True, capture_output=True, text=True, env=env)


def verdict(mutation: Mutation) -> str:
    """`found`, or why not."""
    try:
        with mutated(mutation) as copy:
            words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutation.test]
            env = {**os.environ, "PYTHONPATH": str(copy / "src")}
            code = subprocess.run(
                words, cwd=copy, capture_output=True, check=False, timeout=TIMEOUT_S, env=env
            ).returncode
    except subprocess.CalledProcessError as error:
        return f"does not apply: {error.stderr.strip()}"
    except subprocess.TimeoutExpired:
        return "the test does not end"
    if code == FAILED:
        return "found"
    return "SURVIVED" if code == 0 else f"the test cannot be run (pytest ended with {code})"


def main() -> int:
    parser = argparse.ArgumentParser(description="Shows that a test finds each patch that undoes a rule.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, at the end")
    given = parser.parse_args()
    known = mutations()
    unknown = set(given.names) - {m.name for m in known}
    if unknown:
        parser.error(f"no such mutation: {', '.join(sorted(unknown))}; there are {', '.join(m.name for m in known)}")
    chosen = [m for m in known if not given.names or m.name in given.names]
    rows: list[tuple[Mutation, str]] = []
    for mutation in chosen:
        began = time.monotonic()
        rows.append((mutation, verdict(mutation)))
        print(f"{rows[-1][1]:<10} {mutation.name:<36} {time.monotonic() - began:5.0f} s  {mutation.test}", flush=True)
    if given.markdown:
        print("\n| rule | undone by | found by |\n|---|---|---|")
        for mutation, said in rows:
            print(f"| {mutation.rule} | `{mutation.name}` | {f'`{mutation.test}`' if said == 'found' else said} |")
    lost = [mutation.name for mutation, said in rows if said != "found"]
    print(f"{len(rows) - len(lost)} of {len(rows)} found" + (f"; not: {', '.join(lost)}" if lost else ""))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
