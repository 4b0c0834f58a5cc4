"""The engine of the micro-batches: what it keeps prepared."""

from __future__ import annotations

from itertools import combinations

import pytest

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.speed import partials
from tailrace.speed.partials import PartialEngine, good_records
from tailrace.views import compile_view, shipped_views
from tests.formats.decoding import STAMP, decoded

VIEWS = [compile_view(sql, DEFAULT_FIELDS) for _, sql in shipped_views()]


def test_programs_make_room_for_others_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "PROGRAMS_MAX", 2)
    line = f'{{"timestamp":"{STAMP}","endpoint":"/a","status":200,"response_ms":1.5,"ip":"10.0.0.1"}}'
    records = good_records(decoded("\n".join([line] * 30).encode()).columns)
    engine = PartialEngine()
    for chosen in [*combinations(VIEWS, 2), *combinations(VIEWS, 2)]:
        states = engine.partials(chosen, records)
        assert [states[view.version]["scalars"]["s0"].to_pylist() for view in chosen] == [[30], [30]]
        assert len(engine._programs) <= 2
