"""A settings file becomes settings, or an error that names the file, the key and what is allowed."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tailrace.config.handed_on import read_settings, write_settings
from tailrace.config.listen import is_loopback, parse_listen, require_keys, url_of
from tailrace.config.load import SECTIONS, load_settings
from tailrace.config.ranges import RANGES, SWITCHES, TEXTS
from tailrace.config.settings import Settings
from tailrace.errors import Corrupt, Invalid
from tailrace.model.endpoint_rules import EndpointRule
from tailrace.model.fields import DEFAULT_FIELDS, FieldKind
from tailrace.model.line_format import Group, Multiline

FORMAT = '[[formats]]\nname = "f"\npattern = '

WRONG = [
    ("[stream]\nshards = 0", "`stream.shards` cannot be `0`", "a whole number from 1 to 256"),
    ("[stream]\nshards = true", "`stream.shards` cannot be `true`", "a whole number"),
    ('[stream]\nshards = "two"', "`stream.shards` cannot be `two`", "a whole number"),
    ("[stream]\nshard = 2", "there is no setting `stream.shard`", "did you mean `shards`?"),
    ('[stream]\nname = "../x"', "`stream.name` cannot be `../x`", "lower case letters"),
    ("stream = 3", "`stream` cannot be `3`", "[stream]"),
    ("[streams]", "there is no setting `streams`", "did you mean `stream`?"),
    ('listen = "host"', "`listen` cannot be `host`", "HOST:PORT"),
    ("data_dir = 3", "`data_dir` cannot be `3`", "a folder"),
    ("[batch]\nnice = 20", "`batch.nice` cannot be `20`", "from 0 to 19"),
    ('[ingest]\nkey_field = "endpont"', "`ingest.key_field` cannot be `endpont`", "did you mean `endpoint`?"),
    ("[ingest]\nline_bytes_max = 40000000", "`ingest.line_bytes_max`", "at most ingest.body_bytes_max"),
    ("[stream]\nqueue_bytes_max = 1048576", "`ingest.body_bytes_max`", "at most stream.queue_bytes_max"),
    ("fields = 3", "`fields` cannot be `3`", "[[fields]]"),
    ('[[fields]]\nname = "bytes"', "`fields.type of `bytes`` is missing", "integer, decimal"),
    ('[[fields]]\nname = "bytes"\ntype = "float"', "cannot be `float`", "timestamp, text, integer, decimal"),
    ('[[fields]]\nname = "extra"\ntype = "text"', "`fields.name` cannot be `extra`", "none of"),
    ('[[fields]]\nname = "timestamp"\ntype = "text"', "`fields.type of `timestamp``", "timestamp"),
    ('[[fields]]\nname = "status"\nscale = 2', "`fields.scale` cannot be `2`", "only with type = decimal"),
    ('[[fields]]\nname = "response_ms"\nscale = 12', "`fields.scale` cannot be `12`", "from 0 to 9"),
    ('[[fields]]\nname = "timestamp"\nzone = "Mars"', "`fields.zone` cannot be `Mars`", "IANA"),
    ('[[fields]]\nname = "status"\n[[fields]]\nname = "status"', "`fields.name` cannot be `status`", "once"),
    ('[[fields]]\nname = "status"\nkind = "text"', "there is no setting `fields.kind`", "type"),
    ('[ingest]\nformat = "jsn"', "`ingest.format` cannot be `jsn`", "did you mean `json`?"),
    ("formats = 3", "`formats` cannot be `3`", "[[formats]]"),
    ("[[formats]]\npattern = 'x'", "`formats.name` is missing", "lower case"),
    ('[[formats]]\nname = "json"', "`formats.name` cannot be `json`", "none of: json"),
    ('[[formats]]\nname = "f"', "`formats.pattern of `f`` is missing", "regular expression"),
    ('[[formats]]\nname = "f"\nregex = "x"', "there is no setting `formats.regex`", "pattern"),
    (FORMAT + "'(?P<ts>a'", "cannot be `(?P<ts>a`", "missing )"),
    (FORMAT + "'(?P<ts>a)(?=b)'", "cannot be", "(character 10); RE2 has no lookaround"),
    (FORMAT + r"'(?P<ts>a)\1'", "cannot be", "(character 10); RE2 has no lookaround and no back references"),
    (FORMAT + "'[(](?P<ts>a)(b)'", "cannot be", "a group has no name at character 13"),
    (FORMAT + "'(?P<ts>a)(?P<ts>b)'", "cannot be", "two groups are called `ts`"),
    (FORMAT + "'a'", "cannot be", "named groups"),
    (FORMAT + "'(?P<a>a)'", "the group for `timestamp`` is missing", 'groups = { when = "timestamp" }'),
    (FORMAT + "'(?P<ts>a)'\ngroups = { t = 1 }", "cannot be `t`", "the pattern's groups: ts"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = 1 }", "ts` cannot be `1`", "the name of a field"),
    (FORMAT + "'(?P<ts>a)(?P<m>b)'\ngroups = { m = 'mesage' }", "cannot be `mesage`", "did you mean `message`?"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { frmat = '' } }", "there is no setting", "did you mean `format`?"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { format = '%H:%M' } }", "cannot be `%H:%M`", "needs a year"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { format = '%Y%m%d%q' } }", "cannot be", "`%q` is not known"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { format = '%Y%m%d%d' } }", "cannot be", "the same part twice"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { format = '%Y%m%d %I' } }", "cannot be", "%I and %p go together"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { zone = 'Mars' } }", "cannot be `Mars`", "IANA"),
    (FORMAT + "'(?P<ts>a)(?P<msg>b)'\ngroups = { msg = { zone = 'UTC' } }", "cannot be `UTC`", "is a timestamp"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { unit = 's' } }", "cannot be `s`", "only for a group whose field has"),
    (FORMAT + "'(?P<ts>a)'\ngroups = { ts = { unit = 'h' } }", "cannot be `h`", "s, ms, us, ns"),
    (FORMAT + "'(?P<ts>a)'\nabsent = '-'", "`formats.absent` cannot be `-`", '["-"]'),
    (FORMAT + "'(?P<ts>a)'\nmultiline = true", "cannot be `true`", "indented = true"),
    (FORMAT + "'(?P<ts>a)'\nmultiline = { start = '(' }", "cannot be `(`", "missing )"),
    (FORMAT + "'(?P<ts>a)'\n" + FORMAT + "'(?P<ts>a)'", "`formats.name` cannot be `f`", "once"),
    ("endpoint_rules = 3", "`endpoint_rules` cannot be `3`", "[[endpoint_rules]]"),
    ("[[endpoint_rules]]\nmatch = '/a'", "`endpoint_rules` cannot be", "and template"),
    ("[[endpoint_rules]]\nmtch = '/a'", "there is no setting `endpoint_rules.mtch`", "did you mean `match`?"),
    ("[[endpoint_rules]]\nmatch = '/a/*'\ntemplate = '/a/*'", "cannot be `/a/*`", "text without *"),
    ("[[endpoint_rules]]\nbuiltin = ['number']", "`endpoint_rules.builtin` cannot be", "numbers, uuids, hex"),
    ("[[endpoint_rules]]\nbuiltin = ['hex']\nmatch = 'a'", "`endpoint_rules` cannot be", "or builtin"),
    ("shards = = 2", "is not TOML", "shards = 4"),
]


@pytest.mark.parametrize(("text", "message", "hint"), WRONG, ids=[w[0].replace("\n", " ") for w in WRONG])
def test_what_is_wrong_is_said_with_file_key_and_what_is_allowed(
    text: str, message: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "tailrace.toml"
    path.write_text(text)
    with pytest.raises(Invalid) as found:
        load_settings(path)
    assert message in found.value.message
    assert str(path) in found.value.message
    assert hint in found.value.hint


def test_without_a_file_the_defaults_count_from_the_current_folder(tmp_path: Path) -> None:
    settings = load_settings(folder=tmp_path)
    assert settings == Settings(data_dir=tmp_path / "tailrace-data", views_dir=tmp_path / "views")


def test_the_file_in_the_current_folder_is_found_and_arguments_win(tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text('listen = "127.0.0.1:9000"\ndata_dir = "a"\n[stream]\nshards = 4\n')
    settings = load_settings(folder=tmp_path)
    assert (settings.listen_port, settings.data_dir, settings.stream.shards) == (9000, tmp_path / "a", 4)
    settings = load_settings(folder=tmp_path, data_dir=Path("b"), views_dir=Path("v"), listen="127.0.0.1:0")
    assert (settings.listen_port, settings.data_dir, settings.views_dir) == (0, tmp_path / "b", tmp_path / "v")


def test_folders_in_a_file_count_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "t.toml").write_text('data_dir = "../data"\nviews_dir = "own"')
    settings = load_settings(tmp_path / "etc" / "t.toml", folder=tmp_path / "elsewhere")
    assert (settings.data_dir, settings.views_dir) == (tmp_path / "data", tmp_path / "etc" / "own")


def test_dashboards_are_below_the_data_folder_or_where_the_file_says(tmp_path: Path) -> None:
    assert load_settings(folder=tmp_path).boards_dir == tmp_path / "tailrace-data" / "dashboards"
    (tmp_path / "tailrace.toml").write_text('dashboards_dir = "ours"')
    assert load_settings(folder=tmp_path).boards_dir == tmp_path / "ours"
    (tmp_path / "tailrace.toml").write_text("dashboards_dir = 7")
    with pytest.raises(Invalid, match="dashboards_dir"):
        load_settings(folder=tmp_path)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no file"):
        load_settings(tmp_path / "no.toml")


def test_fields_are_changed_by_name_and_new_ones_come_last(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        '[[fields]]\nname = "bytes"\ntype = "integer"\nunit = "B"\n'
        '[[fields]]\nname = "response_ms"\nsource = "took"\n'
        '[[fields]]\nname = "timestamp"\nzone = "Europe/Zurich"\n'
    )
    found = load_settings(path).fields
    assert found.names == (*DEFAULT_FIELDS.names, "bytes")
    response, stamp, size = found.get("response_ms"), found.get("timestamp"), found.get("bytes")
    assert response
    assert (response.kind, response.source, response.scale, response.unit) == (FieldKind.DECIMAL, "took", 3, "ms")
    assert stamp
    assert stamp.zone == "Europe/Zurich"
    assert size
    assert (size.kind, size.unit) == (FieldKind.INTEGER, "B")


def test_every_setting_says_what_it_may_be(tmp_path: Path) -> None:
    settings = load_settings(folder=tmp_path)
    names = {f"{s}.{f.name}" for s in SECTIONS for f in fields(getattr(settings, s))}
    assert names == RANGES.keys() | TEXTS.keys() | SWITCHES
    for name, (low, high) in RANGES.items():
        section, key = name.split(".")
        assert low <= getattr(getattr(settings, section), key) <= high


def test_settings_reach_the_processes_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[stream]\nshards = 7\n[[fields]]\nname = "bytes"\ntype = "decimal"\nscale = 2')
    settings = load_settings(tmp_path / "t.toml", data_dir=tmp_path / "data")
    write_settings(settings)
    assert read_settings(tmp_path / "data") == settings


def test_settings_that_do_not_read_back_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_bytes(b'{"data_dir": 3}')
    with pytest.raises(Corrupt):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        (":9000", "127.0.0.1", 9000),
        ("9000", "127.0.0.1", 9000),
        ("[::1]:80", "::1", 80),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:8080", "0.0.0.0", 8080),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == (host, port)


@pytest.mark.parametrize("text", ["", "host", "::1:80", "host:99999", "a b:80", "http://x:80", "host:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        parse_listen(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com", "127.0.0.1.example.com"])
def test_an_address_that_others_reach_is_refused(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(Invalid, match="refusing to listen"):
        require_keys(host, has_keys=False)
    require_keys(host, has_keys=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "localhost"])
def test_loopback_is_fine(host: str) -> None:
    require_keys(host, has_keys=False)


def test_urls_have_brackets_where_they_need_them() -> None:
    assert (url_of("127.0.0.1", 80), url_of("::1", 80)) == ("http://127.0.0.1:80", "http://[::1]:80")


def test_formats_and_rules_are_read_and_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.toml"
    path.write_text(
        """
        [ingest]
        format = "app"
        [[formats]]
        name = "app"
        pattern = '^(?P<when>\\S+) (?P<took>\\d+) (?P<lvl>\\w+) (?P<thread>\\w+) (?P<message>.*)$'
        groups = { when = { field = "timestamp", format = "%FT%T", zone = "Europe/Zurich" }, took = { field = "response_ms", unit = "us" } }
        absent = ["none"]
        multiline = { start = '^\\d{4}-' }
        [[endpoint_rules]]
        match = "/users/*"
        template = "/users/{id}"
        [[endpoint_rules]]
        builtin = ["numbers", "hex"]
        """
    )
    settings = load_settings(path, data_dir=tmp_path)
    (app,) = settings.formats
    assert app.groups == (
        Group("when", "timestamp", stamp="%FT%T", zone="Europe/Zurich"),
        Group("took", "response_ms", shift=-3),
        Group("lvl", "level"),
        Group("thread"),
        Group("message", "message"),
    )
    assert (app.absent, app.multiline) == (("none",), Multiline(start="^\\d{4}-"))
    assert settings.endpoint_rules == (
        EndpointRule("/users/*", "/users/{id}"),
        EndpointRule(builtin=("numbers", "hex")),
    )
    settings.run_dir.mkdir(parents=True)
    write_settings(settings)
    assert read_settings(settings.data_dir) == settings
