"""The files that belong to the repository: what git tracks, or would."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repository_files() -> list[Path]:
    """All of them, absolute, sorted; ignored files are not among them."""
    # In a container the clone may belong to another user; git then wants to be told that this is meant.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = sorted(ROOT / name for name in listed.split("\0") if name)
    return [file for file in files if file.is_file() and not file.is_symlink()]


def repository_texts() -> dict[Path, str]:
    """Those that are UTF-8 text, by path relative to the root."""
    texts = {}
    for file in repository_files():
        try:
            texts[file.relative_to(ROOT)] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts
