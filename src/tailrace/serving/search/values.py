"""Which fields records have, and which values one of them takes."""

from __future__ import annotations

from typing import Any

from tailrace.model.fields import EXTRA, FieldKind
from tailrace.serving.search.asked import FieldsAsked, ValuesAsked
from tailrace.serving.search.ground import Part, Search, Wanted
from tailrace.serving.search.page import column_sql
from tailrace.views.scope import RecordScope

EXTRA_FIELDS_MAX = 200
_EXTRA_ROWS = 20_000
"""Records whose `extra` is looked into for names."""


def search_fields(search: Search, asked: FieldsAsked) -> dict[str, Any]:
    """Fields by how many records have them, from a sample. Raises as `search_page` does."""
    search.take(asked.at)
    wanted = search.wanted(asked.query, asked.sql, asked.times())
    part, sample = search.sampled(search.part(wanted), asked.sample_rows)
    names = search.fields.names
    counted = ", ".join(f'count(r."{n}"), approx_count_distinct(r."{n}")' for n in names)
    [row] = search.rows(f"SELECT count(*), {counted} FROM {search.relation(part)} AS r WHERE {wanted.condition}")
    total = row[0]
    fields = [
        {
            "name": name,
            "type": field.kind.value,
            "unit": field.unit or None,
            "share": row[1 + 2 * n] / total if total else 0.0,
            "distinct": row[2 + 2 * n],
        }
        for n, (name, field) in enumerate(zip(names, search.fields.all, strict=True))
    ]
    return {
        "fields": fields + _extra_fields(search, wanted, part),
        "records": sample.scaled(total),
        "position": search.position,
    } | sample.as_json()


def _extra_fields(search: Search, wanted: Wanted, part: Part) -> list[dict[str, Any]]:
    """Names at the top of `extra`; of one that holds an object, its members, by dotted name."""
    rows = search.rows(
        f"WITH looked_at AS MATERIALIZED (SELECT r.{EXTRA} AS e FROM {search.relation(part)} AS r WHERE {wanted.condition} "
        f"LIMIT {_EXTRA_ROWS}), "
        "keys AS (SELECT e, unnest(TRY(json_keys(e))) AS k FROM looked_at WHERE e IS NOT NULL), "
        "members AS (SELECT k, TRY(json_extract(e, '/' || replace(replace(k, '~', '~0'), '/', '~1'))) AS v FROM keys) "
        "SELECT k, any_value(json_type(v)), count(*), approx_count_distinct(CAST(v AS VARCHAR)), (SELECT count(*) FROM looked_at), "
        "max(CASE WHEN json_type(v) = 'OBJECT' THEN CAST(json_keys(v) AS VARCHAR) END) "
        f"FROM members GROUP BY k ORDER BY count(*) DESC, k LIMIT {EXTRA_FIELDS_MAX}"
    )
    found = []
    for key, kind, count, distinct, total, members in rows:
        share = count / total if total else 0.0
        found += [
            {
                "name": f"{EXTRA}.{name}",
                "type": _kind(kind) if name == key else "text",
                "unit": None,
                "share": share,
                "distinct": distinct,
            }
            for name in _member_names(key, kind, members)
        ]
    return found


def _member_names(key: str, kind: str, members: str | None) -> list[str]:
    if kind != "OBJECT" or not members:
        return [key]
    inner = [name.strip() for name in members.strip("[]").split(",") if name.strip()]
    return [f"{key}.{name}" for name in inner][:20]


def _kind(json_type: str | None) -> str:
    match json_type:
        case "UBIGINT" | "BIGINT":
            return "integer"
        case "DOUBLE":
            return "decimal"
        case "BOOLEAN":
            return "boolean"
        case "ARRAY" | "OBJECT":
            return json_type.lower()
        case _:
            return "text"


def search_values(search: Search, asked: ValuesAsked) -> dict[str, Any]:
    """The most frequent values of a field, with their shares; of a number also its range. Raises as `search_page` does."""
    search.take(asked.at)
    wanted = search.wanted(asked.query, asked.sql, asked.times())
    part, sample = search.sampled(search.part(wanted), asked.sample_rows)
    scope = RecordScope(search.fields)
    _, value = column_sql(scope, asked.field)
    relation = search.relation(part)
    prefix = asked.prefix.lower()
    rows = search.rows(
        f"WITH found AS MATERIALIZED (SELECT CAST({value} AS VARCHAR) AS v, count(*) AS n FROM {relation} AS r "
        f"WHERE {wanted.condition} GROUP BY ALL) "
        "SELECT v, n, (SELECT CAST(sum(n) AS BIGINT) FROM found), (SELECT CAST(sum(n) AS BIGINT) FROM found WHERE v IS NOT NULL), "
        "(SELECT count(v) FROM found) FROM found WHERE v IS NOT NULL AND starts_with(lower(v), $1) "
        f"ORDER BY n DESC, v LIMIT {asked.limit}",
        [prefix],
    )
    total, present, distinct = (rows[0][2], rows[0][3], rows[0][4]) if rows else (0, 0, 0)
    return {
        "field": asked.field,
        "values": [{"value": v, "count": sample.scaled(n), "share": n / total if total else 0.0} for v, n, *_ in rows],
        "records": sample.scaled(total),
        "present": sample.scaled(present),
        "distinct": distinct,
        "numbers": _numbers(search, wanted, part, asked.field),
        "position": search.position,
    } | sample.as_json()


def _numbers(search: Search, wanted: Wanted, part: Part, name: str) -> dict[str, Any] | None:
    field = RecordScope(search.fields).field(name)
    if field is None or field.kind not in (FieldKind.INTEGER, FieldKind.DECIMAL):
        return None
    column = f'r."{field.name}"'
    [row] = search.rows(
        f"SELECT min({column}), max({column}), avg({column}), quantile_disc({column}, [0.5, 0.95, 0.99]) "
        f"FROM {search.relation(part)} AS r WHERE {wanted.condition}"
    )
    if row[0] is None:
        return None
    quantiles = [float(q) for q in row[3]]
    return {"min": float(row[0]), "max": float(row[1]), "mean": float(row[2]), "unit": field.unit or None,
            "p50": quantiles[0], "p95": quantiles[1], "p99": quantiles[2]}  # fmt: skip
