"""`views check` of streams, and of views over them: no node is needed, the files beside tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace.cli.main import main

SLOW = "CREATE STREAM slow AS SELECT * FROM logs WHERE response_ms > 1000"
VIEW = "CREATE VIEW v AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS w, count(*) AS n FROM slow GROUP BY ALL"


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = main(["views", "check", "--json", str(file)])
    return code, json.loads(capsys.readouterr().out)


def test_a_view_is_checked_with_the_streams_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    view = tmp_path / "v.sql"
    view.write_text(VIEW)
    code, found = checked(view, capsys)
    assert (code, found["line"], found["column"]) == (1, 1, VIEW.index("slow") + 1)
    assert "there is no stream `slow`" in str(found["error"])
    (tmp_path / "slow.sql").write_text(SLOW.replace("response_ms", "latency"))
    code, found = checked(view, capsys)
    assert code == 1
    assert "there is no field `latency`" in str(found["error"])
    (tmp_path / "slow.sql").write_text(SLOW)
    assert checked(view, capsys)[0] == 0


def test_a_stream_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.sql").write_text(SLOW)
    file = tmp_path / "a.sql"
    file.write_text("CREATE STREAM a AS SELECT * FROM slow WHERE status >= 500")
    code, found = checked(file, capsys)
    assert (code, found["name"], found["reads"]) == (0, "a", "slow")
    assert main(["views", "check", str(file)]) == 0
    assert "response_ms > 1000 AND status >= 500" in capsys.readouterr().out
    file.write_text("CREATE STREAM a AS SELECT * FROM a WHERE status >= 500")
    code, found = checked(file, capsys)
    assert (code, found["line"], found["column"]) == (1, 1, 34)
    assert "it reads itself: a -> a" in str(found["error"])
