"""Scopes: how they are written, and what they let do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.scopes import ALL, LOGS, SCOPES, Grants, parse_grants

streams = st.sampled_from(["errors", "slow", "Checkout", LOGS])
texts = st.lists(
    st.one_of(st.sampled_from(SCOPES), st.builds("{}:{}".format, st.sampled_from(SCOPES), streams)), min_size=1
)


@given(texts)
def test_what_is_written_is_read_again(written: list[str]) -> None:
    grants = parse_grants(written)
    assert parse_grants(grants.texts()) == grants
    assert parse_grants(reversed(written)) == grants


@given(texts, texts, st.sampled_from(SCOPES), streams)
def test_more_scopes_never_let_do_less(one: list[str], more: list[str], scope: str, stream: str) -> None:
    less, both = parse_grants(one), parse_grants([*one, *more])
    assert not less.allows(scope, [stream]) or both.allows(scope, [stream])
    assert not less.whole(scope) or both.whole(scope)
    assert less.whole(scope) <= less.has(scope)


@given(st.sampled_from(SCOPES), streams, st.sampled_from(SCOPES), streams)
def test_a_scope_of_a_stream_is_of_that_stream_alone(scope: str, stream: str, asked: str, other: str) -> None:
    grants = parse_grants([f"{scope}:{stream}"])
    right = scope == asked and (stream == LOGS or stream.lower() == other.lower())
    assert grants.allows(asked, [other]) == right
    assert grants.allows(asked, [other, LOGS]) == right, (
        "who may not read logs may not read them by naming a part first"
    )


def test_streams_limit_what_names_none() -> None:
    assert parse_grants(["ingest", "query:slow"], ["errors"]).texts() == ["ingest:errors", "query:slow"]
    assert parse_grants(["query", "query:errors"]).texts() == ["query"]
    assert parse_grants(["query", "admin", "ingest"]) == ALL
    assert not Grants().has("query")


@pytest.mark.parametrize(
    "wrong", [[], ["reader"], ["query:"], ["query:a b"], [""], ["query:a;b"], ["QUERY"], ["query:" + "a" * 64]]
)
def test_what_is_no_scope_is_refused(wrong: list[str]) -> None:
    with pytest.raises(Invalid):
        parse_grants(wrong)
