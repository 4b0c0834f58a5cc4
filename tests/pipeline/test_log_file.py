"""Logs stay bounded, keep the last words, and tell errors once."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from tailrace.pipeline.log_file import last_line, open_log, rotate

CHATTY = """
import logging, os, sys
from pathlib import Path
from tailrace.pipeline.log_file import BoundedLog
told = []
handler = BoundedLog(Path(sys.argv[1]), told.append, bytes_max=2000)
logging.basicConfig(level=logging.INFO, handlers=[handler])
for n in range(100):
    logging.info("line %03d", n)
for n in range(3):
    logging.error("trouble")
os.write(2, b"written past the log\\n")
os.write(1, repr(told).encode())
"""


def test_a_full_log_is_turned_over_with_standard_error_and_errors_are_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with open_log(path) as log:
        subprocess.run([sys.executable, "-c", CHATTY, str(path)], stderr=log, check=True, timeout=60)
    newest, older = path.read_text(), (tmp_path / "a.log.1").read_text()
    assert len(newest) <= 2200
    assert len(older) <= 2000
    assert "line 099" in newest
    assert "written past the log\n['trouble']" in newest
    assert newest.count("ERROR root trouble") == 3
    assert {p.name for p in tmp_path.iterdir()} == {"a.log", "a.log.1"}


def test_a_log_line_has_time_level_and_name(tmp_path: Path) -> None:
    from tailrace.pipeline.log_file import BoundedLog

    handler = BoundedLog(tmp_path / "a.log", lambda message: None)
    record = logging.LogRecord("tailrace.x", logging.WARNING, "", 0, "said %s", ("so",), None)
    record.created = 1_800_000_000.25
    assert handler.format(record) == "2027-01-15T08:00:00.250Z WARNING tailrace.x said so"


def test_rotation_keeps_one_older_file_and_no_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    rotate(path)
    for text in ("one", "two", ""):
        path.write_text(text)
        rotate(path)
    assert (tmp_path / "a.log.1").read_text() == "two"
    assert path.read_text() == ""


def test_the_last_line_is_the_newest_that_says_anything(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert last_line(path) == ""
    path.write_bytes(b"x" * 20_000 + b"\nfirst\n  last \xff \n\n  \n")
    assert last_line(path) == "last \\xff"
