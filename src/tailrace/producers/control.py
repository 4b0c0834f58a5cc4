"""A running producer's ear: a socket file that only its owner can open, to be told things while it runs, and the way to speak to it."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from tailrace.errors import Invalid, TailraceError, Unavailable
from tailrace.runtime.unreadable import UNREADABLE

ANSWER_S_MAX = 10.0
ORDER_BYTES_MAX = 65_536
Obey = Callable[[Mapping[str, str]], dict[str, Any]]


def control_folder() -> Path:
    """Of this user: in the folder for such files, or in that for temporary ones."""
    parent = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(parent) / f"tailrace-produce-{os.getuid()}"


class Ear:
    """A context manager; `obey` is called in threads of its own. What it raises is the answer.

    `problem`: why nothing can be told, where the socket could not be made: a run goes on without it.
    """

    def __init__(self, run: str, obey: Obey, folder: Path | None = None) -> None:
        self._path = (folder or control_folder()) / f"{run}.sock"
        self._obey = obey
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.problem = ""

    def __enter__(self) -> Self:
        try:
            self._open()
        except OSError as error:
            self.problem = f"`{self._path}` cannot be listened at: {error}; XDG_RUNTIME_DIR names another folder"
        else:
            threading.Thread(target=self._listen, name="control", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        if not self.problem:
            self._path.unlink(missing_ok=True)

    def _open(self) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError("the folder belongs to somebody else")
        folder.chmod(0o700)
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        self._socket.listen(8)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(ANSWER_S_MAX)
                order = msgspec.json.decode(_line(connection), type=dict[str, str])
                answer = self._obey(order)
            except TailraceError as error:
                answer = error.as_json()
            except (OSError, *UNREADABLE):
                return
            try:
                connection.sendall(msgspec.json.encode(answer) + b"\n")
            except OSError:
                return


def tell(order: Mapping[str, str], run: str | None = None, folder: Path | None = None) -> dict[str, Any]:
    """The answer of the run, or of the only one there is. Raises Unavailable if there is none, Invalid for what it cannot do."""
    with _connected(folder or control_folder(), run) as connection:
        connection.settimeout(ANSWER_S_MAX)
        try:
            connection.sendall(msgspec.json.encode(order) + b"\n")
            answer: dict[str, Any] = msgspec.json.decode(_line(connection))
        except (OSError, *UNREADABLE) as error:
            raise Unavailable(f"the producer does not answer: {error}", hint="is it ending?") from error
    if "error" in answer:
        raise Invalid(answer["error"]["message"], hint=answer["error"]["hint"])
    return answer


def _connected(folder: Path, run: str | None) -> socket.socket:
    """Sockets that nobody listens at are left over from killed ones: they go."""
    found: list[tuple[str, socket.socket]] = []
    for path in sorted(folder.glob("*.sock")) if folder.is_dir() else []:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            continue
        else:
            found.append((path.stem, connection))
            continue
        connection.close()
    fitting = [connection for name, connection in found if run in (None, name)]
    for _, connection in found:
        if len(fitting) != 1 or connection is not fitting[0]:
            connection.close()
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(name for name, _ in found)
    if fitting:
        raise Invalid(f"{len(fitting)} producers are running: {names}", hint="say which: --run ID")
    raise Unavailable(
        f"no producer `{run}` is running" if run else "no producer is running",
        hint=f"there is: {names}" if names else "start one with: tailrace produce",
    )


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n") and len(received) < ORDER_BYTES_MAX:
        part = connection.recv(4096)
        if not part:
            break
        received += part
    return received
