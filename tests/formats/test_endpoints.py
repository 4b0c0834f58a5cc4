"""Rules for endpoints: which path becomes what, the path that is kept, and that rules change nothing else."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats.base import Limits, Options
from tailrace.formats.suggest import suggest
from tailrace.model.endpoint_rules import BUILTIN, EndpointRule
from tests.formats.decoding import STAMP, decoded, row, rows

USERS = EndpointRule("/users/*", "/users/{id}")
ORDERS = EndpointRule("/users/*/orders/*", "/users/{id}/orders/{id}")
FILES = EndpointRule("/static/**", "/static/{file}")
PAPERS = EndpointRule("/papers/*.pdf", "/papers/{name}.pdf")
KINDS = EndpointRule(builtin=BUILTIN)
UUID = "018f2f6e-7a3b-4c1d-9e8f-0123456789ab"


@pytest.mark.parametrize(
    ("path", "rules", "endpoint"),
    [
        ("/users/17", (USERS, ORDERS), "/users/{id}"),
        ("/users/17/orders/4", (USERS, ORDERS), "/users/{id}/orders/{id}"),
        ("/users/17/orders/4/lines", (USERS, ORDERS), "/users/17/orders/4/lines"),
        ("/users/", (USERS,), "/users/"),
        ("/v1/users/17", (USERS,), "/v1/users/17"),
        ("/users/17\n", (USERS,), "/users/{id}"),
        ("/static/a/b.js", (FILES,), "/static/{file}"),
        ("/papers/a.b.pdf", (PAPERS,), "/papers/{name}.pdf"),
        ("/papers/axpdf", (PAPERS,), "/papers/axpdf"),
        ("/users/17", (KINDS, USERS), "/users/{number}"),
        ("/users/bob", (KINDS, USERS), "/users/{id}"),
        (f"/a/1/2/{UUID}/deadbeef1/deadbeef/beef1", (KINDS,), "/a/{number}/{number}/{uuid}/{hex}/deadbeef/beef1"),
        ("/v1/x2", (KINDS,), "/v1/x2"),
        ("12", (KINDS,), "{number}"),
        ("", (KINDS,), ""),
    ],
)
def test_paths(path: str, rules: tuple[EndpointRule, ...], endpoint: str) -> None:
    line = json.dumps({"ts": STAMP, "endpoint": path + "?q=1"})
    for times in (1, 30):
        found = rows("\n".join([line] * times), options=Options(endpoint_rules=rules))[-1]
        kept = {"query": "q=1"} | ({"path": path} if path != endpoint else {})
        assert (found["endpoint"], json.loads(found["extra"])) == (endpoint, kept)


def test_a_path_that_is_there_already_is_not_lost() -> None:
    line = json.dumps({"ts": STAMP, "endpoint": "/users/17", "path": "mine"})
    found = row(line, options=Options(endpoint_rules=(USERS,)))
    assert json.loads(found["extra"]) == {"path": "mine", "path_": "/users/17"}


def test_the_template_is_the_partition_key() -> None:
    body = "\n".join(f'{{"ts":"{STAMP}","endpoint":"/users/{n}"}}' for n in range(40)) + f'\n{{"ts":"{STAMP}"}}\nbad'
    keys = decoded(body.encode(), options=Options(endpoint_rules=(USERS,))).keys.to_pylist()
    assert keys == ["/users/{id}"] * 40 + [None, None]


segments = st.sampled_from(["users", "17", "deadbeef1", UUID, "", "a.pdf", "é", "x\ny"])
paths = st.lists(segments, max_size=5).map("/".join) | st.none()
some_rules = st.lists(st.sampled_from([USERS, ORDERS, FILES, PAPERS, KINDS]), max_size=3).map(tuple)


def plainly(path: str, rules: tuple[EndpointRule, ...]) -> str:
    """A path by the rules, as they are documented."""
    shapes = {"numbers": r"\d+", "uuids": r"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}", "hex": r"(?=.*\d)[\da-f]{8,}"}
    for rule in rules:
        result = rule.template
        if rule.builtin:
            parts = path.split("/")
            for kind in reversed(rule.builtin):
                name = "{" + kind.removesuffix("s") + "}"
                parts = [
                    name if re.fullmatch(shapes[kind], was) else part
                    for part, was in zip(parts, path.split("/"), strict=True)
                ]
            result = "/".join(parts)
        elif not re.fullmatch(re.escape(rule.match).replace(r"\*\*", r"[\s\S]*").replace(r"\*", "[^/]+"), path):
            continue
        if not rule.builtin or result != path:
            return result
    return path


@settings(deadline=None)
@given(st.lists(paths, min_size=1, max_size=8), some_rules)
def test_only_endpoint_and_the_kept_path_differ(found: list[str | None], rules: tuple[EndpointRule, ...]) -> None:
    body = "\n".join(json.dumps({"ts": STAMP, "endpoint": path, "n": n}) for n, path in enumerate(found))
    plain = rows(body)
    ruled = rows(body, options=Options(endpoint_rules=rules))
    for path, before, after in zip(found, plain, ruled, strict=True):
        endpoint = None if path is None else plainly(path, rules)
        assert after["endpoint"] == endpoint
        kept = json.loads(before["extra"]) | ({} if endpoint == path else {"path": path})
        assert json.loads(after["extra"]) == kept
        assert {**after, "endpoint": path, "extra": before["extra"]} == before


def test_no_path_costs_more_than_its_length() -> None:
    costly = EndpointRule("/" + "*a" * 8 + "b", "/x")
    line = json.dumps({"ts": STAMP, "endpoint": "/" + "a" * 200_000})
    assert row(line, limits=Limits(), options=Options(endpoint_rules=(costly, KINDS)))["verdict"] == 0


def test_rules_are_proposed_where_paths_vary() -> None:
    counts = {f"/users/{n}": n for n in range(1, 30)} | {f"/users/{n}/orders/{n * 7}": 2 for n in range(1, 30)}
    counts |= {"/": 9, "/login": 5, "/users/": 1, "/users/1/orders": 3, "/a/b": 1}
    proposed = suggest(counts, 20)
    assert [(each.rule, each.lines, each.paths, each.example) for each in proposed] == [
        (USERS, 435, 29, "/users/29"),
        (ORDERS, 58, 29, "/users/9/orders/63"),
        (EndpointRule("/users/*/orders", "/users/{id}/orders"), 3, 1, "/users/1/orders"),
    ]
    assert suggest(counts, 30) == []


@settings(deadline=None)
@given(st.dictionaries(paths.filter(lambda path: path is not None), st.integers(1, 5)), st.integers(2, 4))
def test_a_rule_that_is_proposed_fits_what_it_was_made_from(counts: dict[str, int], distinct: int) -> None:
    proposed = suggest(counts, distinct)
    ruled = {path: plainly(path, tuple(each.rule for each in proposed)) for path in counts}
    for each in proposed:
        assert ruled[each.example] == each.rule.template
        assert sum(template == each.rule.template for template in ruled.values()) >= each.paths
