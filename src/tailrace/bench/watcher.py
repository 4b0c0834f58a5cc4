"""The dashboard's subscriptions, held open while a node is measured: what its CPU is when somebody looks."""

from __future__ import annotations

import json
import threading
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def top(n: int) -> dict[str, object]:
    return {"by": "requests", "n": n, "key": "endpoint"}


PANELS: tuple[dict[str, object], ...] = (
    {"view": "overall_health", "over": "60s", "total": True},
    {"view": "overall_health", "over": "15m", "step": "10s"},
    {"view": "endpoint_health", "over": "5m", "total": True, "top": top(20)},
    {"view": "endpoint_health", "over": "15m", "step": "10s", "top": top(5)},
    {"view": "status_by_endpoint", "over": "5m", "total": True, "top": top(20)},
)
"""As the first page asks when it is opened."""


class Watcher:
    """One page, as the browser holds it, in a thread of this process. A context manager. `frames`: snapshots received."""

    def __init__(self, port: int) -> None:
        self.frames = 0
        self._url = f"ws://127.0.0.1:{port}/v1/live"
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._socket = connect(self._url, max_size=None)
        for number, panel in enumerate(PANELS):
            self._socket.send(json.dumps({"op": "subscribe", "sub": f"p{number}", **panel}))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join()

    def _watch(self) -> None:
        try:
            for frame in self._socket:
                self.frames += b'"snapshot"' in (frame if isinstance(frame, bytes) else frame.encode())
        except ConnectionClosed:
            return
