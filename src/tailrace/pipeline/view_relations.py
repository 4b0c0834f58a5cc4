"""The views as tables, and the streams, for users' SQL: the query process asks the node for them, so that SQL sees the same merged
numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import duckdb
import httpx
import msgspec
import pyarrow as pa

from tailrace.errors import TailraceError, TooLarge, Unavailable
from tailrace.runtime.unreadable import UNREADABLE

ARROW = "application/vnd.apache.arrow.stream"
TIMEOUT_S = 30.0


class NodeViews:
    """See ViewRelations of the SQL engine. `node_socket`: where the node listens. Any thread may call."""

    def __init__(self, node_socket: Path) -> None:
        transport = httpx.HTTPTransport(uds=str(node_socket))
        self._client = httpx.Client(transport=transport, base_url="http://node", timeout=TIMEOUT_S, trust_env=False)

    def __call__(self, connection: duckdb.DuckDBPyConnection, names: frozenset[str]) -> Iterable[str]:
        """Raises Unavailable while the node is away or catches up, TooLarge for a view that cannot be handed over whole."""
        served = [name for name in self.names() if name.lower() in names]
        for name in served:
            connection.register(name, self._table(name))
        return served

    def close(self) -> None:
        self._client.close()

    def names(self) -> list[str]:
        listed = msgspec.json.decode(self._get("/v1/views").content)["views"]
        return [view["name"] for view in listed if view.get("served_version")]

    def streams(self) -> Mapping[str, str]:
        listed = msgspec.json.decode(self._get("/v1/streams").content)["streams"]
        return {stream["name"]: stream["definition"] for stream in listed if stream.get("definition")}

    def _table(self, name: str) -> pa.Table:
        return pa.ipc.open_stream(self._get(f"/v1/views/{quote(name)}", accept=ARROW).content).read_all()

    def _get(self, path: str, accept: str = "application/json") -> httpx.Response:
        try:
            response = self._client.get(path, headers={"Accept": accept})
        except httpx.TransportError as error:
            raise Unavailable("the node is starting", retry_after_s=1, hint="ask again in a second") from error
        if response.status_code != 200:
            raise _node_error(response)
        return response


def _node_error(response: httpx.Response) -> TailraceError:
    try:
        error = msgspec.json.decode(response.content)["error"]
        message, hint = error["message"], error["hint"]
    except (*UNREADABLE, KeyError, TypeError):
        message, hint = f"the node answered {response.status_code}", ""
    if response.status_code == 413:
        return TooLarge(message, hint=hint)
    return Unavailable(message, hint=hint or "ask again in a second")
