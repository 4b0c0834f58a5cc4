"""What each route needs: the one table. A test holds it against all routes there are.

A route that is not here needs the scope admin, so that one that was forgotten shows as closed, not as open.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.model.scopes import ADMIN, INGEST, QUERY

OPEN, KNOWN = "open", "known"
"""OPEN: for everybody. KNOWN: for everybody who has logged in or shows a key, whatever the scopes."""
SIGNED = "signed"
"""The Kinesis API: its endpoint checks the signature, and what the key may do."""


@dataclass(frozen=True, slots=True)
class Need:
    """`scope`: or OPEN, KNOWN, SIGNED. `whole`: in all streams; else the handler looks at the stream that is asked for."""

    scope: str
    whole: bool = True


_EACH = {QUERY: Need(QUERY, whole=False), ADMIN: Need(ADMIN, whole=False)}
UNLISTED = Need(ADMIN)
ROUTES: dict[tuple[str, str], Need] = {
    # The page, and what tells whether the node is there.
    ("GET", "/"): Need(OPEN),
    ("GET", "/index.html"): Need(OPEN),
    ("GET", "/assets/{path:path}"): Need(OPEN),
    ("GET", "/favicon.svg"): Need(OPEN),
    ("GET", "/theme.js"): Need(OPEN),
    ("GET", "/healthz"): Need(OPEN),
    ("GET", "/readyz"): Need(OPEN),
    # Log-in.
    ("POST", "/v1/login"): Need(OPEN),
    ("POST", "/v1/logout"): Need(OPEN),
    ("GET", "/v1/session"): Need(OPEN),
    ("POST", "/v1/password"): Need(KNOWN),
    ("GET", "/openapi.json"): Need(KNOWN),
    # Taking in.
    ("POST", "/v1/logs"): Need(INGEST),
    ("POST", "/v1/otlp/v1/logs"): Need(INGEST),
    ("POST", "/"): Need(SIGNED),
    # Reading.
    ("GET", "/v1/views"): _EACH[QUERY],
    ("GET", "/v1/views/{name}"): _EACH[QUERY],
    ("GET", "/v1/views/{name}/diff"): _EACH[QUERY],
    ("GET", "/v1/explain/{name}"): _EACH[QUERY],
    ("GET", "/v1/streams"): _EACH[QUERY],
    ("POST", "/v1/query"): _EACH[QUERY],
    ("GET", "/v1/tail"): _EACH[QUERY],
    ("GET", "/v1/live"): _EACH[QUERY],
    ("GET", "/v1/pins"): _EACH[QUERY],
    ("POST", "/v1/pins"): _EACH[QUERY],
    ("GET", "/v1/pins/{id}"): _EACH[QUERY],
    ("DELETE", "/v1/pins/{id}"): _EACH[QUERY],
    ("GET", "/v1/pipeline"): _EACH[QUERY],
    ("GET", "/v1/shards"): _EACH[QUERY],
    ("GET", "/v1/deadletters"): Need(QUERY),
    ("GET", "/v1/deadletters/{id}"): Need(QUERY),
    ("GET", "/metrics"): Need(QUERY),
    # Searching. Of all records: who may read some streams only has views, SQL and the tail.
    ("POST", "/v1/search"): Need(QUERY),
    **{
        ("POST", f"/v1/search/{what}"): Need(QUERY)
        for what in ("histogram", "fields", "values", "context", "compare", "export")
    },
    ("GET", "/v1/searches"): Need(QUERY),
    ("GET", "/v1/searches/{name}"): Need(QUERY),
    ("PUT", "/v1/searches/{name}"): Need(QUERY),
    ("DELETE", "/v1/searches/{name}"): Need(QUERY),
    # Dashboards hold no numbers; what their panels ask for is asked by itself.
    ("GET", "/v1/dashboards"): _EACH[QUERY],
    ("GET", "/v1/dashboards/schema"): _EACH[QUERY],
    ("GET", "/v1/dashboards/{uid}"): _EACH[QUERY],
    ("GET", "/v1/dashboards/{uid}/versions"): _EACH[QUERY],
    ("GET", "/v1/dashboards/{uid}/versions/{n}"): _EACH[QUERY],
    ("PUT", "/v1/dashboards/{uid}"): Need(QUERY),
    ("DELETE", "/v1/dashboards/{uid}"): Need(QUERY),
    ("GET", "/v1/annotations"): _EACH[QUERY],
    ("POST", "/v1/annotations"): Need(QUERY),
    ("DELETE", "/v1/annotations/{id}"): Need(QUERY),
    ("GET", "/v1/catalog"): Need(QUERY),
    # Alerts.
    ("GET", "/v1/alerts"): Need(QUERY),
    ("GET", "/v1/alerts/history"): Need(QUERY),
    ("GET", "/v1/alerts/rules"): Need(QUERY),
    ("GET", "/v1/alerts/rules/{name}"): Need(QUERY),
    ("POST", "/v1/alerts/preview"): Need(QUERY),
    ("GET", "/v1/alerts/silences"): Need(QUERY),
    ("GET", "/v1/alerts/instances/{fingerprint}/lines"): Need(QUERY),
    ("PUT", "/v1/alerts/rules/{name}"): Need(ADMIN),
    ("DELETE", "/v1/alerts/rules/{name}"): Need(ADMIN),
    ("POST", "/v1/alerts/silences"): Need(ADMIN),
    ("DELETE", "/v1/alerts/silences/{id}"): Need(ADMIN),
    ("POST", "/v1/alerts/channels/{name}/test"): Need(ADMIN),
    # Administering.
    ("POST", "/v1/views/{name}/rebuild"): _EACH[ADMIN],
    ("POST", "/v1/views/{name}/rollback"): _EACH[ADMIN],
    ("POST", "/v1/deadletters/redrive"): Need(ADMIN),
    ("POST", "/v1/shards/{id}/split"): Need(ADMIN),
    ("POST", "/v1/shards/{id}/merge"): Need(ADMIN),
    ("GET", "/v1/users"): Need(ADMIN),
    ("POST", "/v1/users"): Need(ADMIN),
    ("PATCH", "/v1/users/{name}"): Need(ADMIN),
    ("DELETE", "/v1/users/{name}"): Need(ADMIN),
    ("GET", "/v1/keys"): Need(ADMIN),
    ("POST", "/v1/keys"): Need(ADMIN),
    ("DELETE", "/v1/keys/{id}"): Need(ADMIN),
    ("GET", "/v1/sessions"): Need(ADMIN),
    ("DELETE", "/v1/sessions/{id}"): Need(ADMIN),
    ("GET", "/v1/audit"): Need(ADMIN),
}

_PLAIN = {key: need for key, need in ROUTES.items() if "{" not in key[1]}
_PATTERNS = [(method, path.split("/"), need) for (method, path), need in ROUTES.items() if "{" in path]
_PATHS = {path for _, path in _PLAIN}


def need_of(method: str, path: str) -> Need:
    """`path`: decoded. A method that a path does not have is for everybody who is known: the answer is 405, or 204."""
    method = "GET" if method == "HEAD" else method
    found = _PLAIN.get((method, path))
    if found is not None:
        return found
    parts = path.split("/")
    fitting = {had: need for had, pattern, need in _PATTERNS if _fits(pattern, parts)}
    if method in fitting:
        return fitting[method]
    return Need(KNOWN) if fitting or path in _PATHS else UNLISTED


def _fits(pattern: list[str], parts: list[str]) -> bool:
    if pattern[-1].endswith(":path}"):
        return len(parts) >= len(pattern) and parts[: len(pattern) - 1] == pattern[:-1]
    return len(pattern) == len(parts) and all(
        bool(part) if wanted.startswith("{") else wanted == part for wanted, part in zip(pattern, parts, strict=True)
    )
