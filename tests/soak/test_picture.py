"""The picture of a soak: well-formed, everything inside it, every fault marked, gaps left as gaps."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tests.soak.injector import Happened
from tests.soak.picture import WIDTH, draw, nice_step, panels
from tests.soak.samples import Sample, growth

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = [
    Sample(
        float(at_s),
        (at_s * 10, at_s * 9),
        {"node": 100 << 20, "batch": (50 + at_s) << 20},
        {"stream": at_s << 20, "lake": 0},
        *((None,) * 4 if at_s in (20, 30) else (at_s, 10 * at_s, 2, at_s)),
    )
    for at_s in range(0, 100, 10)
]
HAPPENED = [
    Happened(12.0, "kill", "node", 12.0),
    Happened(30.0, "clock", "+1 h", 30.0),
    Happened(40.0, "disk", "full", 50.0),
    Happened(60.0, "split", "shardId-000000000000 & <more>", 60.1),
]


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(draw("A <title> & more", panels(SAMPLES, 500), HAPPENED, 90.0))


def test_it_is_whole_and_names_its_lines_its_faults_and_their_number() -> None:
    words = [element.text or "" for element in drawn().iter(f"{SVG}text")]
    assert "A <title> & more" in words
    for expected in ("kill -9 (1)", "clock step (1)", "disk full (1)", "split (1)", "+1 h", "batch  140", "node  100"):
        assert expected in words, words


def test_a_time_without_an_answer_is_a_gap() -> None:
    lines = [element.get("points", "").split() for element in drawn().iter(f"{SVG}polyline")]
    lengths = [len(points) for points in lines]
    assert lengths.count(2) == 2
    assert lengths.count(6) == 2
    assert len(SAMPLES) in lengths


def test_nothing_is_drawn_outside() -> None:
    picture = drawn()
    height = float(picture.get("height", ""))
    for element in picture.iter(f"{SVG}polyline"):
        for point in element.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= height
    for element in picture.iter(f"{SVG}rect"):
        assert float(element.get("x", 0)) + float(element.get("width", 0)) <= WIDTH


@given(st.floats(0, 1e12))
def test_a_scale_has_at_most_five_even_steps(most: float) -> None:
    step = nice_step(most)
    assert most / step <= 5
    assert str(step).strip("0.")[0] in "125"


def test_growth_tells_the_beginning_from_the_end() -> None:
    assert growth(SAMPLES) == {"batch": (75 << 20, 135 << 20), "node": (100 << 20, 100 << 20)}
