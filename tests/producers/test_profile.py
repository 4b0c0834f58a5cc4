"""Profiles: what is learned from made-up traffic is what it was made from; files of any kind are read; and errors say what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.producers.lines import Renderer
from tailrace.producers.profile.base import read_base
from tailrace.producers.profile.compare import compare, read_side
from tailrace.producers.profile.fit import fit_times, fit_zipf, ks, spread
from tailrace.producers.profile.learn import learn
from tailrace.producers.profile.model import Addresses, Arrivals, Endpoint, Profile, Sessions, Times
from tailrace.producers.profile.picture import picture
from tailrace.producers.profile.read import parse_profile, shipped_profile
from tailrace.producers.profile.write import profile_toml
from tailrace.producers.scenarios.timeline import Change, Timeline
from tailrace.producers.story import slot_posts
from tailrace.producers.traffic import Times as When
from tailrace.producers.traffic import Traffic

MONDAY_US = 1_799_625_600_000_000
"""2027-01-11, 00:00 UTC."""


def made(profile: Profile, slots: range, rate: float, speed: float = 1.0, *, shaped: bool = False) -> bytes:
    timeline = Timeline((Change(0, rate),))
    traffic = Traffic(profile, timeline, seed=5, times=When(MONDAY_US, MONDAY_US, speed), shaped=shaped)
    renderer = Renderer(profile, traffic.statuses, "0a1b2c3d")
    return b"".join(post.body for slot in slots for post in slot_posts(traffic, renderer, slot))


def test_what_is_learned_is_what_it_was_made_from(tmp_path: Path) -> None:
    """Many addresses, so that visits do not mix: 40 s at 1,000 a second, 5,000 visitors of eight requests each."""
    shop = shipped_profile()
    known = Profile("known", shop.endpoints, Addresses(400_000, 0.0, 4_000), shop.sessions)
    path = tmp_path / "made.ndjson"
    path.write_bytes(made(known, range(400), 1_000))
    learned = learn(path)
    found = learned.profile
    assert (len(learned.base), learned.base.skipped) == (40_000, 0)
    by_path = {each.path: (each, share) for each, share in zip(found.endpoints, found.mix(), strict=True)}
    assert by_path.keys() == {"/login", "/home", "/profile", "/logout"}
    for endpoint in shop.endpoints:
        seen, share = by_path[endpoint.path]
        assert share == pytest.approx(endpoint.share, abs=0.01)
        assert (seen.service, seen.method) == (endpoint.service, endpoint.method)
        assert seen.times.median_ms == pytest.approx(endpoint.times.median_ms, rel=0.03)
        assert seen.times.sigma == pytest.approx(endpoint.times.sigma, abs=0.03)
        assert seen.times.ks is not None
        assert seen.times.ks < 0.05
        for status, of in endpoint.statuses.items():
            assert seen.statuses.get(status, 0) == pytest.approx(of, abs=0.006)
    # Visits end where the run does, and at blocks: what follows what is a little rarer than the chain has it.
    distance = compare(read_side(path), read_side(_written(tmp_path, known))).transitions
    assert distance is not None
    assert distance < 0.2


def _written(tmp_path: Path, profile: Profile) -> Path:
    path = tmp_path / f"{profile.name}.profile.toml"
    path.write_text(profile_toml(profile))
    return path


def test_popularity_and_the_week_come_back(tmp_path: Path) -> None:
    """Eight days in two minutes of slots: event time goes 5,760 times as fast."""
    hours = tuple(0.4 + 1.2 * (9 <= hour < 21) for hour in range(24))
    days = (1.2, 1.2, 1.2, 1.2, 1.2, 0.5, 0.5)
    one = Endpoint("/a", "web", "GET", 1.0, {200: 1.0}, Times(10.0, 0.3))
    known = Profile("week", (one,), Addresses(300, 1.1, 20), None, Arrivals(hours, days))
    path = tmp_path / "week.ndjson"
    path.write_bytes(made(known, range(1_200), 250, 5_760, shaped=True))
    found = learn(path).profile
    assert np.abs(np.array(found.arrivals.hours) - hours).max() < 0.15
    assert np.abs(np.array(found.arrivals.days) - np.array(days) * 7 / sum(days)).max() < 0.15
    assert found.addresses.zipf == pytest.approx(1.1, abs=0.1)
    assert found.addresses.count == pytest.approx(300, abs=15)
    assert found.addresses.networks <= 40


@pytest.mark.parametrize(
    ("median", "sigma", "tail", "alpha"), [(20.0, 0.3, 1.0, 0.0), (150.0, 0.9, 1.0, 0.0), (30.0, 0.4, 0.95, 1.6)]
)
def test_the_fit_finds_body_and_tail(median: float, sigma: float, tail: float, alpha: float) -> None:
    truth = Times(median, sigma, tail, alpha)
    values = truth.quantile_ms((np.arange(20_000) + 0.5) / 20_000)
    found = fit_times(values)
    assert found.median_ms == pytest.approx(median, rel=0.02)
    assert found.sigma == pytest.approx(sigma, abs=0.03)
    assert found.has_tail == (alpha > 0)
    if alpha:
        assert found.tail_alpha == pytest.approx(alpha, rel=0.1)
    assert found.ks is not None
    assert found.ks < 0.02


def test_what_no_formula_fits_is_kept_as_quantiles_and_says_so() -> None:
    values = np.concatenate([np.linspace(2, 4, 5_000), np.linspace(120, 140, 5_000)])
    found = fit_times(values)
    assert found.points
    assert found.ks is not None
    assert found.ks > 0.1
    assert ks(np.sort(values), found) < 0.06


def test_whole_numbers_are_taken_for_rounded_ones() -> None:
    rng = np.random.default_rng(1)
    found = fit_times(np.round(np.exp(rng.normal(np.log(8), 0.4, 20_000))))
    assert (found.points, found.median_ms) == ((), pytest.approx(8, rel=0.03))
    assert spread(np.array([1.0, 2.0, 2.0])).tolist() == [1.0, 1.75, 2.25]


def test_zipf_of_known_exponents() -> None:
    for exponent in (0.0, 0.7, 1.3):
        assert fit_zipf(1e6 * np.arange(1, 500) ** -exponent) == pytest.approx(exponent, abs=0.01)


shares = st.floats(0.01, 1)
profiles = st.builds(
    lambda weights, zipf, count, times, chain: Profile(
        "any \"one\" \\ of them",
        tuple(
            Endpoint(f"/p{n} \"q\"\\é", "svc", "GET", weight / sum(weights), {200: 0.75, 500: 0.25}, times, {"fine": "a {user} \"b\""})
            for n, weight in enumerate(weights)
        ),
        Addresses(count, zipf, max(1, count // 3)),
        Sessions((1.0, *[0.0] * (len(weights) - 1)), tuple((0.5 / len(weights),) * len(weights) for _ in weights))
        if chain
        else None,
    ),
    st.lists(shares, min_size=1, max_size=5),
    st.floats(0, 3),
    st.integers(1, 10_000),
    st.builds(Times, st.floats(0.01, 1e4), st.floats(0, 3), st.sampled_from([0.9, 1.0]), st.floats(0.5, 5), st.floats(1, 1e6)),
    st.booleans(),
)  # fmt: skip


@given(profiles)
@settings(deadline=None)
def test_a_profile_that_is_written_reads_back_as_it_was(profile: Profile) -> None:
    found = parse_profile(profile_toml(profile), "x")
    assert (found.name, found.addresses, found.sessions) == (profile.name, profile.addresses, profile.sessions)
    for one, other in zip(found.endpoints, profile.endpoints, strict=True):
        assert (one.path, one.service, one.share, dict(one.statuses), dict(one.messages)) == (
            other.path, other.service, other.share, dict(other.statuses), dict(other.messages),
        )  # fmt: skip
        assert one.times.table_us().tolist() == other.times.table_us().tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "no TOML"),
        ("nam = 'x'", "has no `nam`"),
        ("name = 'x'", "no endpoints"),
        ("[[endpoint]]\npath = '/a'\nshare = 0.5", "add up to 0.5"),
        ("[[endpoint]]\npath = '/a'\nshare = 2", "`share` = `2`"),
        ("[[endpoint]]\npath = '/a'\nshare = 1\nstatuses = { ok = 1 }", "the code `ok`"),
        ("[[endpoint]]\npath = '/a'\nshare = 1\nstatuses = { 200 = 0.4 }", "add up to 0.4"),
        (
            "[[endpoint]]\npath = '/a'\nshare = 1\n[endpoint.response_ms]\npoints = [[0.5, 1], [0.2, 2]]",
            "do not ascend",
        ),
        ("[[endpoint]]\npath = '/a'\nshare = 1\n[sessions]\nfirst = { '/b' = 1 }", "has no `/b`"),
        ("[[endpoint]]\npath = '/a'\nshare = 1\n[arrivals]\nhours = [1]", "`hours` that are not 24"),
    ],
)
def test_a_profile_that_cannot_be_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_profile(text, "shop.toml")
    assert says in caught.value.message
    assert "shop.toml" in caught.value.message
    assert caught.value.hint


def test_a_table_with_columns_of_any_name_and_dirty_rows(tmp_path: Path) -> None:
    rows = [
        f"10.128.{n % 3}.{n % 40},[29/Nov/2017:06:{n // 60:02d}:{n % 60:02d},GET /login.php?x={n} HTTP/1.1,200"
        for n in range(600)
    ]
    dirty = ["chmod:,cannot,'a.out':,No", "rm:,cannot", "10.1.1.1,[99/Nov/2017:00:00:00,GET / HTTP/1.1,200", "x"]
    path = tmp_path / "web.csv"
    path.write_text("\n".join(["IP,Time,URL,Staus", *rows[:300], *dirty, *rows[300:]]))
    base = read_base(path)
    assert (len(base), base.skipped) == (600, 4)
    assert base.columns == {"address": "IP", "time": "Time", "request": "URL", "status": "Staus"}
    assert (set(base.paths), set(base.methods), set(base.statuses)) == ({"/login.php"}, {"GET"}, {200})
    assert learn(path).profile.sessions is not None


def test_a_table_without_a_head_and_with_other_separators(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(
        "".join(
            f"/x/{n % 9}\t2026-11-23T10:00:{n % 60:02d}Z\t{(200, 404)[n % 2]}\t10.0.0.{n % 7}\n" for n in range(200)
        )
    )
    base = read_base(path)
    assert (len(base), set(base.statuses), base.skipped) == (200, {200, 404}, 0)
    assert [each.path for each in learn(path).profile.endpoints] == ["/x/{id}"]


def test_json_lines_by_what_stands_in_them(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = [
        json.dumps({"when": 1_795_000_000_000 + n, "uri": f"/api/{n % 2}/items?q", "code": 200, "request_time": 0.25, "app": "shop"})
        for n in range(100)
    ]  # fmt: skip
    path.write_text("\n".join([*lines, "not json", "[1]"]))
    base = read_base(path)
    assert (len(base), base.skipped, set(base.took), set(base.services)) == (100, 2, {250.0}, {"shop"})


def test_an_array_of_objects_is_read_as_its_lines_are(tmp_path: Path) -> None:
    rows = [{"url": f"/a/{n}", "status": 200, "ms": n} for n in range(30)]
    lines, array = tmp_path / "lines", tmp_path / "array"
    lines.write_text("\n".join(map(json.dumps, rows)) + "\n5\n")
    array.write_text(json.dumps([*rows, 5], indent=1))
    one, other = read_base(lines), read_base(array)
    assert (other.what, other.skipped, len(other)) == ("JSON array", 1, 30)
    assert (one.paths, one.statuses, one.columns) == (other.paths, other.statuses, other.columns)


def test_a_column_that_is_not_what_it_looked_like_at_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    good = [f"2026-01-01T00:00:{n % 60:02d}Z,/a,200" for n in range(500)]
    path.write_text("\n".join(["when,url,code", *good, *(f"{n}?,/a,200" for n in range(200))]) + "\n")
    assert read_base(path).fits["time"] == pytest.approx(500 / 700)
    path.write_text("\n".join(["when,url,code", *good, *(f"{n}?,/a,200" for n in range(900))]) + "\n")
    with pytest.raises(Invalid, match="`when` was taken for the time, but only 36%"):
        read_base(path)


def test_rpc_timings_are_an_endpoint_a_column(tmp_path: Path) -> None:
    path = tmp_path / "rpc.csv"
    path.write_text(
        "Latency,ts-order-service_find,ItemsControllerGet,anomaly\n"
        + "".join(f"{300 + n},{n % 9 + 1},5,0\n" for n in range(50))
    )
    found = learn(path).profile
    assert {(each.service, each.path) for each in found.endpoints} == {
        ("gateway", "/Latency"), ("ts-order-service", "/ts-order-service/find"), ("items", "/Items/Get"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no lines"),
        ("just\nwords\n", "no requests"),
        ("a,b\n1,x\n", "no requests"),
        ("a,b,c,d\n1,2,3,4\n5,6,7,8\n", "0 of them are named as an RPC or a time"),
        ("1,2,3,4\n5,6,7,8\n", "2 rows of 4 columns of numbers|1 rows of 4 columns of numbers"),
        ("shop_find,shop_list,Latency\n3,-4,7\n", "`shop_list` has values below zero"),
        ("words,things,stuff,rest\nx,y,z,u\n", "read as table"),
        ('[{"url": "/a"},', "begins as a JSON array and is none"),
        ("[\n1, 2]", "no requests"),
    ],
)
def test_what_is_no_log_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(Invalid, match=says):
        learn(path)
    with pytest.raises(Invalid, match="cannot be read"):
        learn(tmp_path / "nothing")


def test_what_was_learned_with_others_can_be_made_and_learned_again(tmp_path: Path) -> None:
    lines = [f'{{"timestamp": {1_795_000_000 + n}, "endpoint": "/p{n % 70}x", "status": 200}}' for n in range(2_000)]
    path = tmp_path / "many.ndjson"
    path.write_text("\n".join(lines))
    first = learn(path)
    assert first.profile.endpoints[-1].path == "/(other)"
    again = tmp_path / "again.ndjson"
    again.write_bytes(made(first.profile, range(50), 400))
    second = learn(again, 20)
    assert sum(each.path == "/(other)" for each in second.profile.endpoints) == 1
    assert parse_profile(profile_toml(second.profile), "x").mix().sum() == pytest.approx(1)


def test_a_thing_compared_with_itself_is_the_same_and_the_picture_is_xml(tmp_path: Path) -> None:
    import xml.etree.ElementTree as ET

    side = read_side(_written(tmp_path, shipped_profile()))
    found = compare(side, side)
    assert (found.mix, found.statuses, found.transitions, found.times, found.hours) == (0, 0, 0, 0, 0)
    ET.fromstring(picture(side, side, found))
    other = read_side(_written(tmp_path, Profile("x", (Endpoint("/x", "s", "GET", 1.0, {200: 1.0}, Times(1.0, 0.1)),))))
    apart = compare(side, other)
    assert (apart.mix, apart.only[1]) == (pytest.approx(1.0), ("/x",))
    ET.fromstring(picture(side, other, apart))


@pytest.mark.parametrize(
    ("name", "head", "dirty"),
    [
        ("a.csv", "ip,time,url,status", '192.0.2.1,2026-11-23T10:00:00Z,"/' + "a" * 200_000 + '",200'),
        ("a.csv", "ip,time,url,status", "192.0.2.1," + "9" * 400 + ",/a,200"),
        ("a.csv", "ip,time,url,status", "192.0.2.1,2026-11-23T10:00:00Z,/a,²²²"),
        ("a.ndjson", "", '{"a":' * 20_000 + "1" + "}" * 20_000),
    ],
    ids=["a huge cell", "a time beyond all", "digits of no number", "deep JSON"],
)
def test_a_row_that_nothing_reads_is_left_out_and_counted(tmp_path: Path, name: str, head: str, dirty: str) -> None:
    clean = "192.0.2.1,2026-11-23T10:00:00Z,/a,200" if head else '{"ip":"192.0.2.1","url":"/a","status":200}'
    path = tmp_path / name
    path.write_text("\n".join([*([head] if head else []), clean, dirty, clean]) + "\n")
    base = read_base(path)
    assert (base.paths, base.skipped) == (["/a", "/a"], 1)


def test_a_damaged_gzip_file_is_told(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"192.0.2.1,2026-11-23T10:00:00Z,/a,200\n" * 3_000))
    packed[20] ^= 255
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(Invalid, match="cannot be read"):
        read_base(path)
