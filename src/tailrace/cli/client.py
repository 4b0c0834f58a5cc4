"""HTTP to a running node, with its errors as ours. Plain `http.client`: it is there at once."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tailrace.cli.access import VARIABLE, key_for
from tailrace.errors import Forbidden, InternalError, Invalid, NotFound, TailraceError, Unauthorized, Unavailable

DEFAULT_URL = "http://127.0.0.1:8080"
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 120.0


def node_url(given: str | None, folder: Path | None = None) -> str:
    """The URL that was given, that of the node running on ./tailrace-data, or the default one."""
    if given:
        return given
    from tailrace.pipeline.lock import is_alive
    from tailrace.pipeline.run_file import read_run_file

    running = read_run_file((folder or Path.cwd()) / "tailrace-data" / "run")
    return running.url if running is not None and is_alive(running.pid) else DEFAULT_URL


class Client:
    """One request at a time, each on a connection of its own. Raises Unavailable if nothing answers at `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"`{url}` is no address of a node", hint=f"for example {DEFAULT_URL}")
        self._url = url
        self._key = key_for(url)
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = parts.hostname, parts.port

    def get(self, path: str, params: dict[str, str] | None = None) -> Any:
        """The JSON answer of a GET."""
        response = self.open("GET", path + (f"?{urlencode(params)}" if params else ""))
        with response:
            return self._decode(response)

    def post(self, path: str, body: Any, accept: str = "application/json") -> http.client.HTTPResponse:
        """The open answer of a POST of JSON; its body can be read piece by piece."""
        headers = {"Content-Type": "application/json", "Accept": accept}
        return self.open("POST", path, json.dumps(body).encode(), headers)

    def events(self, path: str, params: dict[str, str]) -> Iterator[tuple[str, str]]:
        """(event, data) of each server-sent event, until the server or the connection ends."""
        headers = {"Accept": "text/event-stream"}
        response = self.open("GET", f"{path}?{urlencode(params)}", headers=headers, timeout_s=None)
        event, data = "message", ""
        with response:
            for line in self._lines(response):
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data += line[5:].strip()
                elif not line and data:
                    yield event, data
                    event, data = "message", ""

    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> http.client.HTTPResponse:
        """The answer, with its body not read yet; errors of the API are raised. `timeout_s`: of each read."""
        connection = self._connect(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
            connection.sock.settimeout(timeout_s)
            shown = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            connection.request(method, path, body, {"Connection": "close", **shown, **(headers or {})})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        if response.status >= 400:
            with response:
                raise api_error(response.status, response.read())
        return response

    def _decode(self, response: http.client.HTTPResponse) -> Any:
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise InternalError(f"`{self._url}` did not answer with JSON", hint="is it a Tailrace node?") from error

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[str]:
        try:
            for line in response:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unavailable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "start one with: tailrace up, or name another one with --url (produce, verify, ship: --to)"
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = "trust its certificate: SSL_CERT_FILE=DATA/tls/certificate.pem before the command"
        return Unavailable(f"no node answers at `{self._url}`: {reason}", hint=hint)


def api_error(status: int, body: bytes) -> TailraceError:
    """The node's error, as the kind that its status stands for."""
    try:
        error = json.loads(body)["error"]
        message, hint = str(error["message"]), str(error.get("hint", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        message, hint = f"the node answered {status}: {body[:200].decode('utf-8', 'replace')}", ""
    if status == 404:
        return NotFound(message, hint=hint)
    if status == 401:
        return Unauthorized(
            message, hint=f"set {VARIABLE} to the secret of one of its keys; to make one: tailrace keys add"
        )
    if status == 403:
        return Forbidden(message, hint=hint)
    if status in (429, 502, 503, 504):
        return Unavailable(message, hint=hint)
    return Invalid(message, hint=hint) if status < 500 else InternalError(message, hint=hint)
