"""A position goes out in two forms and comes back as the same; what is damaged, foreign or silent about a shard is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.position import parse_position, position_json, position_token
from tailrace.model.shard import Shard, even_shards, shard_id

OLD = even_shards(2, 1_790_000_000)
SPLIT = tuple(
    Shard(n, 0, 9, 1_790_000_100, parents=(shard_id(0),), first_epoch=5) for n in (2, 3)
)  # the two children of shard 0
ALL = (replace(OLD[0], closed=True), OLD[1], *SPLIT)
ends_of_all = st.fixed_dictionaries({shard.id: st.integers(0, 2**63 - 1) for shard in ALL})


def text(shards: tuple[Shard, ...], ends: dict[str, int]) -> str:
    return json.dumps(position_json(shards, ends))


@given(ends=ends_of_all)
def test_both_forms_come_back(ends: dict[str, int]) -> None:
    assert parse_position(text(ALL, ends), ALL) == ends
    assert parse_position(position_token(ALL, ends), ALL) == ends


def test_a_token_is_stable() -> None:
    """Somebody has it in a document: it must be read for ever."""
    ends = {OLD[0].id: 251, OLD[1].id: 0}
    assert position_token(OLD, ends) == "AQL7AQB4h-mvvMlWnQ"
    assert parse_position("AQL7AQB4h-mvvMlWnQ", ALL) == {**ends, SPLIT[0].id: 0, SPLIT[1].id: 0}


@given(ends=ends_of_all, data=st.data())
def test_no_changed_token_is_taken_for_another_position(ends: dict[str, int], data: st.DataObject) -> None:
    token = bytearray(base64.urlsafe_b64decode(position_token(ALL, ends) + "=="))
    bit = data.draw(st.integers(0, len(token) * 8 - 1))
    token[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Invalid):
        parse_position(base64.urlsafe_b64encode(token).decode().rstrip("="), ALL)


def test_shards_that_came_later_count_with_nothing() -> None:
    ends = {OLD[0].id: 7, OLD[1].id: 9}
    for given_form in (text(OLD, ends), position_token(OLD, ends)):
        assert parse_position(given_form, ALL) == {**ends, SPLIT[0].id: 0, SPLIT[1].id: 0}


@pytest.mark.parametrize("named", [(), (0,), (1,), (0, 1, 2), (0, 1, 3), (0, 2, 3)])
def test_a_shard_that_was_there_must_be_named(named: tuple[int, ...]) -> None:
    shards = tuple(ALL[n] for n in named)
    with pytest.raises(Invalid, match="which was there"):
        parse_position(text(shards, {}), ALL)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("", "no token"),
        ("AQ", "no token"),
        ("latest", "no token"),
        ("é", "no token"),
        ("{", "no JSON"),
        ("{" * 70_000, "too long"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "no JSON|no such shard"),
        ('{"shardId-000000000009": null}', "no such shard"),
        ('{"shardId-000000000000": null, "shardId-000000000000": null}', "twice"),
        ('{"shardId-000000000000": 7}', "no sequence number"),
        ('{"shardId-000000000000": "7"}', "not a sequence number"),
    ],
)
def test_what_is_no_position_says_so(form: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_position(form, ALL)


def test_positions_of_another_stream_are_refused() -> None:
    other = tuple(replace(shard, created_s=shard.created_s + 1) for shard in OLD)
    ends = {shard.id: 5 for shard in other}
    with pytest.raises(Invalid, match="another stream"):
        parse_position(position_token(other, ends), OLD)
    with pytest.raises(Invalid, match="does not belong"):
        parse_position(text(other, ends), OLD)
    with pytest.raises(Invalid, match="another stream"):
        parse_position(position_token(ALL, ends), OLD)
