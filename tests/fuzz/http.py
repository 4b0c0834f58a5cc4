"""Ask a running node for everything that its OpenAPI document lists, rightly and wrongly, and hold the answers against it.

The answers must have a status, a type and a shape that the document names; no status is 5xx but a 503 that says when to ask again;
what the document does not allow is never answered with 200; and the posts that were acknowledged are in the ledger afterwards.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tailrace.testing.node import RunningNode

KEY = "the-key-of-the-hunt-for-faults"
SETTINGS = f'[[keys]]\nid = "hunt"\nsecret = "{KEY}"\n'
"""Users and keys are among what is made and removed at random: with a key of its own the hunt is never shut out."""
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
EXAMPLES = 20
"""Requests for an operation before the next one's turn."""
ENDLESS = frozenset({"/v1/tail", "/v1/live"})
"""They go on for ever once they are answered; they have tests of their own."""

SENSIBLE = {
    "where": "endpoint = '/a'",
    "from": "2026-04-01T00:00:00Z",
    "to": "2026-04-02T00:00:00Z",
    "step": "10s",
    "over": "1m",
    "by": "requests",
    "key": "endpoint",
    "columns": "requests",
    "window": "2026-04-01T10:00:00Z",
    "verdict": "malformed",
}
"""Values that a schema cannot describe."""
OTLP_RECORD: dict[str, Any] = {
    "resourceLogs": [
        {"scopeLogs": [{"logRecords": [{"timeUnixNano": "1775037600000000000", "body": {"stringValue": "x"}}]}]}
    ]
}


@dataclass
class Surface:
    """The HTTP surface of a node. `acknowledged`: lines that answers 200 spoke of; `asked`: requests by operation."""

    node: RunningNode
    acknowledged: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.node.port}"
        self.schema: Any = schemathesis.openapi.from_url(f"{self.url}/openapi.json", headers=self._shown())
        self.document: dict[str, Any] = self.node.get("/openapi.json").json

    def _shown(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.node.key}"}

    def operations(self) -> list[tuple[str, str]]:
        return [(p, m) for p, methods in self.document["paths"].items() for m in methods if p not in ENDLESS]

    def try_operation(self, path: str, method: str, examples: int, number: int) -> None:
        """So many requests as they should be, and so many as they should not."""
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = self.schema[path][method].as_strategy(generation_mode=mode)

            @seed(number)
            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=strategy, known=st.booleans(), mode=st.just(mode))
            def ask(case: Any, known: bool, mode: GenerationMode) -> None:
                if known and mode is GenerationMode.POSITIVE:
                    self._name_what_is_there(case)
                self._ask(case, mode)

            try:
                ask()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, f"{method} {path} cannot be asked"

    def _ask(self, case: Any, mode: GenerationMode) -> None:
        response = case.call(headers=self._shown())
        name = f"{case.method} {case.path}"
        self.asked[name] = self.asked.get(name, 0) + 1
        assert response.status_code < 500 or response.status_code == 503, (name, response.status_code, response.content)
        if response.status_code in (429, 503):
            assert response.headers.get("retry-after"), f"{name} does not say when to ask again"
        checks = [*CHECKS, negative_data_rejection] if mode is GenerationMode.NEGATIVE else CHECKS
        case.validate_response(response, checks=checks)
        if response.status_code == 200 and response.headers["content-type"][0].startswith("application/json"):
            self._note(case, response.json())

    def _note(self, case: Any, answer: Any) -> None:
        """Nothing that an answer holds is missing from the document; posts are counted."""
        schema = self.document["paths"][case.path][case.method.lower()]["responses"]["200"]["content"]
        unknown = undocumented(answer, schema["application/json"]["schema"], self.document, "")
        assert not unknown, f"{case.method} {case.path} answers what the document does not name: {unknown}"
        if case.path == "/v1/logs":
            self.acknowledged += answer["accepted"] + answer["dead_lettered_total"]
        elif case.path == "/v1/otlp/v1/logs" and case.body is OTLP_RECORD:
            self.acknowledged += 1
        elif case.path == "/v1/deadletters/redrive":
            self.acknowledged += answer["accepted"]

    def _name_an_alert(self, case: Any) -> None:
        if "{name}" in case.path:
            case.path_parameters["name"] = "server-errors"
        if case.path == "/v1/alerts/preview":
            case.body = {"name": "traffic-drop", "from": "2026-04-01T00:00:00Z", "to": "2026-04-02T00:00:00Z"}
        elif case.path == "/v1/alerts/rules/{name}" and case.method == "PUT":
            case.body = {"view": "endpoint_health", "value": "100 * server_errors / requests", "above": 5}
        elif case.path == "/v1/alerts/silences" and case.method == "POST":
            case.body = {"matchers": ["endpoint=/a"], "for": "1h"}

    def _name_what_is_there(self, case: Any) -> None:
        """Put into the path what exists, and into the query and the body what a schema cannot describe."""
        if case.path.startswith("/v1/alerts/"):
            self._name_an_alert(case)
        elif "{name}" in case.path:
            case.path_parameters["name"] = "endpoint_health"
        elif "{uid}" in case.path:
            case.path_parameters["uid"] = "service-health"
            case.headers.pop("If-Match", None)
            case.headers.pop("If-None-Match", None)
            if isinstance(case.body, dict):
                case.body = case.body | {"uid": "service-health"}
        elif case.path.startswith("/v1/shards/"):
            shards = self.node.get("/v1/shards").json["shards"]
            case.path_parameters["id"] = next(shard["id"] for shard in shards if shard["state"] == "open")
        elif case.path == "/v1/deadletters/{id}":
            case.path_parameters["id"] = self.node.get("/v1/deadletters").json["dead_letters"][0]["id"]
        case.query = {name: SENSIBLE.get(name, value) for name, value in (case.query or {}).items()}
        if case.path == "/v1/query" and isinstance(case.body, dict):
            case.body = case.body | {"sql": "SELECT endpoint, count(*) AS n FROM logs GROUP BY ALL"}
        elif case.path == "/v1/logs":
            case.headers.pop("Content-Encoding", None)
            case.query.pop("format", None)
            case.body = b'{"timestamp":"2026-04-01T10:00:00Z","endpoint":"/b","status":200}\nnothing'
        elif case.path == "/v1/otlp/v1/logs" and case.media_type == "application/json":
            case.headers.pop("Content-Encoding", None)
            case.headers.pop("Tailrace-Producer", None)
            case.body = OTLP_RECORD


def main(arguments: list[str]) -> int:
    """Ask a node of its own for so many seconds, from a seed on; print what was wrong, and how many requests there were."""
    seconds, number = float(arguments[0]), int(arguments[1])
    wrong: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-fuzz-")))
        (folder / "tailrace.toml").write_text(SETTINGS)
        node = stack.enter_context(RunningNode(folder / "data", config=folder / "tailrace.toml", key=KEY))
        surface = Surface(node)
        surface.acknowledged += node.post_logs(b"no json").json["dead_lettered_total"]
        until = time.monotonic() + seconds
        while time.monotonic() < until and not wrong:
            for path, method in surface.operations():
                try:
                    surface.try_operation(path, method, EXAMPLES, number)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    wrong.append(f"{method} {path}, seed {number}: {error}")
            number += 1
    print("\n".join(wrong))
    print(f"{sum(surface.asked.values())} requests")
    return int(bool(wrong))


def undocumented(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str) -> list[str]:
    """Members of `value` that `schema` does not name."""
    schema = resolved(schema, document)
    if isinstance(value, list):
        return [each for item in value for each in undocumented(item, schema.get("items", {}), document, f"{where}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    names = schema["properties"]
    missing = [f"{where}.{name}" for name in value if name not in names]
    inside = [
        each for n, v in value.items() if n in names for each in undocumented(v, names[n], document, f"{where}.{n}")
    ]
    return missing + inside


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema or "anyOf" in schema:
        found = schema.get("anyOf", [schema])[0]
        schema = document["components"]["schemas"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
    return schema


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
