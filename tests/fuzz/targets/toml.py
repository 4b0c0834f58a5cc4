"""Settings files, and the patterns and rules in them, up to the lines that they are used on.

Oracles: an error names the file; settings that are taken survive being handed on to the processes; a pattern that is taken never
fails on a line; rules give what Python's own `re` gives.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa

from tailrace.config.endpoint_rules import read_endpoint_rules
from tailrace.config.formats import read_formats
from tailrace.config.handed_on import read_settings, write_settings
from tailrace.config.load import load_settings
from tailrace.config.problem import SettingsFile
from tailrace.errors import Invalid
from tailrace.formats.endpoints import templated
from tailrace.formats.regex import regex_format
from tailrace.model.fields import DEFAULT_FIELDS
from tests.formats.decoding import decoded
from tests.fuzz.target import Target, attempted, text_of
from tests.fuzz.targets.lines import lines_of, split_lines


@cache
def folder() -> Path:
    memory = Path("/dev/shm")
    return Path(mkdtemp(prefix="tailrace-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def run_settings(data: bytes) -> None:
    path = folder() / "tailrace.toml"
    path.write_bytes(data)
    found, error = attempted(lambda: load_settings(path, folder=folder()), Invalid)
    if found is None:
        assert error is not None
        assert "tailrace.toml" in error.message
        assert error.hint
        raise error
    kept = replace(found, data_dir=folder() / "data")
    write_settings(kept)
    assert read_settings(kept.data_dir) == kept


def run_pattern(data: bytes) -> None:
    """The first line is a pattern, the second how records begin; the rest are lines."""
    pattern, start, body = (*data.split(b"\n", 2), b"", b"")[:3]
    names = [name for name in ("timestamp", "message", "status", "response_ms") if f"?P<{name}>" in text_of(pattern)]
    table = {"name": "own", "pattern": text_of(pattern), "groups": {name: name for name in names}}
    if start:
        table["multiline"] = {"start": text_of(start)}
    (definition,) = read_formats(SettingsFile("tailrace.toml"), [table], DEFAULT_FIELDS)
    found = decoded(body, regex_format(definition))
    assert [line for raw in found.raw.column("raw").to_pylist() for line in lines_of(raw)] == split_lines(body)


def run_rules(data: bytes) -> None:
    """Lines: what a rule matches, its template, then paths."""
    match, template, *paths = [*text_of(data).split("\n"), ""][:12]
    (rule,) = read_endpoint_rules(SettingsFile("x"), [{"match": match, "template": template}], DEFAULT_FIELDS)
    (kinds,) = read_endpoint_rules(SettingsFile("x"), [{"builtin": ["numbers", "uuids", "hex"]}], DEFAULT_FIELDS)
    found, rows = templated(pa.array(paths, pa.string()), [rule, kinds])
    pieces = [(".*" if p == "**" else "[^/]+") if p[:1] == "*" else re.escape(p) for p in re.split(r"(\*\*|\*)", match)]
    fits = re.compile("".join(pieces), re.DOTALL)
    for at, (path, became) in enumerate(zip(paths, found.to_pylist(), strict=True)):
        assert (path != became) == (at in rows.tolist())
        if fits.fullmatch(path):
            assert became == template
        else:
            assert became.count("/") == path.count("/")
            segments = [
                s if s in ("{number}", "{uuid}", "{hex}") and s != p else p
                for p, s in zip(path.split("/"), became.split("/"), strict=True)
            ]
            assert "/".join(segments) == became


_TOML = (
    b'listen = "127.0.0.1:8080"\n[stream]\nshards = 4\n[ingest]\nformat = "own"\nkey_field = "endpoint"\n'
    b'[[fields]]\nname = "user"\ntype = "text"\nsource = "user_id"\n[[fields]]\nname = "size"\ntype = "decimal"\nscale = 2\nunit = "kB"\n'
    b'[[formats]]\nname = "own"\npattern = \'^(?P<at>\\S+) (?P<size>\\d+)\'\n[formats.groups]\nat = "timestamp"\nsize = "size"\n'
    b'[[endpoint_rules]]\nmatch = "/users/*"\ntemplate = "/users/{id}"\n[[endpoint_rules]]\nbuiltin = ["numbers", "uuids"]\n'
)
TARGETS = (
    Target(
        "settings",
        "tailrace.toml",
        run_settings,
        (
            _TOML,
            b'data_dir = "~/x"\nviews_dir = "v"\n[retention]\nstream_age_s = 0\n[query]\nrows_max = 5\n',
            b"[batch]\nnice = 19\n",
        ),
        (
            b"[[formats]]\n",
            b"[[fields]]\n",
            b'name = "a"\n',
            b'type = "timestamp"\n',
            b'zone = "Europe/Berlin"\n',
            b"multiline = {start = '^x'}\n",
            b"shards = -1\n",
            b"1979-05-27",
            b"inf",
            b"nan",
            b"[",
            b'"""',
            b"\\u0000",
            b"= ",
            b'field = "status", unit = "us"',
            b'"~nobody/x"',
            b"absent = []\n",
            b'time = "%Y"',
        ),
    ),
    Target(
        "pattern",
        "patterns of the settings, on lines",
        run_pattern,
        (
            b"^(?P<timestamp>\\S+) (?P<status>\\d+)?(?P<message>.*)$\n\n2026-11-22T10:00:00Z 200 x\nno\n",
            b"(?P<timestamp>[^ ]+)\n^\\d\n1795341600 a\n b\n",
        ),
        (
            b"(?P<message>",
            b"(?:",
            b")*",
            b"{2,9}",
            b"[[:alpha:]]",
            b"\\pL",
            b"(?i)",
            b"\\Q",
            b"|",
            b"\\C",
            b"$",
            b"^",
            b"(?P<response_ms>[0-9.]*)",
            b"\n",
        ),
    ),
    Target(
        "endpoint_rules",
        "rules for endpoints, on paths",
        run_rules,
        (
            b"/users/*/orders/**\n/users/{id}\n/users/17/orders/4\n/a/17/00c0ffee-0000-4000-8000-00c0ffee0000/deadbeef1\n/",
            b"**\n/all\n\nx",
        ),
        (b"*", b"**", b"***", b"/", b"\\", b".", b"(", b"\\E", b"/17", b"/0123456789abcdef", b"\xe2\x80\xa8", b"\r"),
    ),
)
