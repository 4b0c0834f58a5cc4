"""Fetch the servers and clients that tests run beside Tailrace, each jar compared with its SHA-256.

    python tools/engines.py                     all of them, those that are here already at no cost
    python tools/engines.py kafka               one
    python tools/engines.py --sums kafka        fetch it and write its SHA256SUMS anew, after a change of its pom.xml

An engine is a folder of `tools/engines/`: a `pom.xml` with exact versions, and `SHA256SUMS` of everything that Maven brings for it. They
go to `.tools/engines/NAME/`, whole or not at all. Needs Maven and a JDK (17 or newer); standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ROOT / "tools" / "engines"
HERE = ROOT / ".tools" / "engines"
_ABOUT = {
    "kafka": "Kafka broker, 43 MB",
    "dynamodb": "DynamoDB Local, 48 MB",
    "kinesis-java": "Kinesis client library and AWS SDK for Java, 74 MB",
}


class EnginesError(Exception):
    """Something the person at the keyboard has to mend; the text says how."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Fetch the servers that tests run beside Tailrace.")
    parser.add_argument("name", nargs="*", metavar="NAME", help="which; without it all")
    parser.add_argument("--sums", action="store_true", help="write SHA256SUMS anew")
    options = parser.parse_args(arguments)
    try:
        unknown = sorted(set(options.name) - set(names()))
        if unknown:
            raise EnginesError(f"no such engine: {', '.join(unknown)}; there are {', '.join(names())}")
        for name in options.name or names():
            fetch(name, write_sums=options.sums)
    except EnginesError as error:
        print(f"engines: {error}", file=sys.stderr)
        return 3
    return 0


def names() -> list[str]:
    return sorted(path.parent.name for path in ENGINES.glob("*/pom.xml"))


def fetch(name: str, *, write_sums: bool = False) -> None:
    """Bring `name` to `.tools/engines/`. Raises EnginesError if it cannot be had, or is not what was pinned."""
    source, target = ENGINES / name, HERE / name
    if not write_sums and is_here(name):
        return
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        raise EnginesError("Maven and a JDK are needed; on Debian: apt-get install maven default-jdk-headless")
    print(f"engines: fetching {name} ({_ABOUT.get(name, 'of unknown size')}, once)", flush=True)
    HERE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HERE, prefix=f"{name}-") as scratch:
        jars = Path(scratch) / name
        jars.mkdir()
        run_maven(maven, source / "pom.xml", jars)
        if write_sums:
            (source / "SHA256SUMS").write_text(sums(jars))
        compare(name, sums(jars), (source / "SHA256SUMS").read_text())
        (jars / "SHA256SUMS").write_text(pinned(name))
        shutil.rmtree(target, ignore_errors=True)
        jars.rename(target)


def run_maven(maven: str, pom: Path, jars: Path) -> None:
    command = [maven, "--quiet", "--batch-mode", "--color", "never", "--file", str(pom), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise EnginesError(f"Maven could not fetch what `{pom.relative_to(ROOT)}` names (see above)")


def sums(folder: Path) -> str:
    """A line a file, as sha256sum prints it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def compare(name: str, found: str, wanted: str) -> None:
    """Raises EnginesError that names the files that differ."""
    differ = sorted({line.split()[1] for line in set(found.splitlines()) ^ set(wanted.splitlines())})
    if differ:
        raise EnginesError(
            f"{name}: not what SHA256SUMS pins: {', '.join(differ)}; if tools/engines/{name}/pom.xml was changed, run: "
            f"python tools/engines.py --sums {name}"
        )


def pinned(name: str) -> str:
    return (ENGINES / name / "SHA256SUMS").read_text()


def is_here(name: str) -> bool:
    """Whether what was fetched is what is pinned now."""
    stamp = HERE / name / "SHA256SUMS"
    return stamp.exists() and stamp.read_text() == pinned(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
