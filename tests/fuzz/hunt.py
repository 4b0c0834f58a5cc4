"""Hunt for findings in one target, guided by coverage. Run by `tests.fuzz.run` in a process of its own; needs atheris.

    python -m tests.fuzz.hunt TARGET FOLDER [libFuzzer's options]

`FOLDER/corpus` holds the inputs that reached something new, and is gone on from; findings are put into `FOLDER/findings`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

SQL = frozenset({"view", "stream", "record_filter", "view_filter"})
"""Targets that are guided by the parser's own code too; it takes seconds to prepare."""
GUIDED_BY = ["tailrace", *(["sqlglot"] if SQL & set(sys.argv[1:2]) else [])]

with atheris.instrument_imports(include=GUIDED_BY, enable_loader_override=False):
    from tests.fuzz.target import SECONDS_MAX, judge
    from tests.fuzz.targets import TARGETS


def main(arguments: list[str]) -> None:
    target, folder = TARGETS[arguments[0]], Path(arguments[1])
    corpus, findings = folder / "corpus", folder / "findings"
    for each in (corpus, findings):
        each.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate((*target.seeds, *(path.read_bytes() for path in target.found()))):
        (corpus / f"seed-{number:03d}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{quoted(word)}"\n' for word in target.words))
    options = [
        f"-artifact_prefix={findings}/",
        *([f"-dict={words}"] if target.words else []),
        f"-max_len={target.bytes_max}",
        f"-timeout={SECONDS_MAX:.0f}",
        "-print_final_stats=1",
        "-rss_limit_mb=4096",
        *arguments[2:],
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: judge(target, data))
    atheris.Fuzz()


def quoted(word: bytes) -> str:
    """In the form of libFuzzer's dictionaries."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1:])
