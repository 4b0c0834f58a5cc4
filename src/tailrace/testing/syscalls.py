"""What a process did to its files and sockets, read from a trace of its system calls.

`strace` with the options of `STRACE` writes the trace; `parse` turns its lines into events. Pure but for `STRACE`'s being a
command line. What goes through memory maps is not seen: in the folders of a node that is SQLite's `-shm` only, which nothing
relies on after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

CALLS = (
    "open,openat,creat,close,lseek,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,"
    "ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat"
)
STRACE = ("strace", "-f", "-y", "-xx", "-s", "67108864", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none")
"""Follow threads and children, name descriptors, print every byte."""


class Kind(Enum):
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    CREATE = "create"
    MAKE_FOLDER = "make folder"
    RENAME = "rename"
    LINK = "link"
    REMOVE = "remove"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Event:
    """One call that ended, at `ended` and begun at `began`: numbers that order all beginnings and ends of a trace.

    `path`: the file, or what the descriptor of a SEND is. `other`: the new name of RENAME and LINK. `at`: the offset of a WRITE, the
    size of a TRUNCATE. `data`: what was written or sent. `ok`: False for a failed call, which is listed for SYNC only.
    """

    kind: Kind
    path: str
    began: int
    ended: int
    other: str = ""
    at: int = 0
    data: bytes = b""
    ok: bool = True


_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"\) += (?P<result>-?\d+|\?)(?:<(?P<path>[^>]*)>)?")
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})*")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"^(?P<number>\d+)<(?P<path>[^>]*)>")
_NAMES = re.compile(r'(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, "(?P<name>(?:\\x[0-9a-f]{2})*)"')
_FOLDER_AND_NAME = ("openat", "renameat", "renameat2", "linkat", "unlinkat", "mkdirat")


@dataclass(slots=True)
class _Call:
    name: str
    arguments: str
    result: int
    result_path: str
    began: int
    ended: int


def parse(lines: Iterable[str], root: str) -> list[Event]:
    """Events on what is below the folder `root` (absolute), and all SENDs, in the order in which the calls ended."""
    return list(_Reader(root).events(_whole_calls(lines)))


def _whole_calls(lines: Iterable[str]) -> Iterator[_Call]:
    """Calls, those that were cut in two by another thread's put together again."""
    begun: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(lines):
        text = line.rstrip("\n")
        if resumed := _RESUMED.match(text):
            name, head, began = begun.pop(resumed["thread"], ("", "", 0))
            if name == resumed["name"]:
                yield from _call(name, head + resumed["rest"], began, number)
            continue
        call = _CALL.match(text)
        if call is None:
            continue
        if text.endswith(_UNFINISHED):
            begun[call["thread"]] = (call["name"], call["rest"].removesuffix(_UNFINISHED), number)
        else:
            yield from _call(call["name"], call["rest"], number, number)


def _call(name: str, rest: str, began: int, ended: int) -> Iterator[_Call]:
    results = list(_RESULT.finditer(rest))
    if results and results[-1]["result"] != "?":
        found = results[-1]
        yield _Call(name, rest, int(found["result"]), _plain(found["path"] or ""), began, ended)


class _Reader:
    """Follows the offsets of descriptors, which `write` moves and does not name. One process with any number of threads."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._offsets: dict[int, int] = {}
        self._sizes: dict[str, int] = {}

    def events(self, calls: Iterable[_Call]) -> Iterator[Event]:
        for call in calls:
            for event in self._events(call):
                if event.kind is Kind.SEND or self._is_inside(event.path) or self._is_inside(event.other):
                    self._note_size(event)
                    yield event

    def _note_size(self, event: Event) -> None:
        match event.kind:
            case Kind.WRITE:
                self._sizes[event.path] = max(self._sizes.get(event.path, 0), event.at + len(event.data))
            case Kind.TRUNCATE | Kind.CREATE:
                self._sizes[event.path] = event.at
            case Kind.REMOVE:
                self._sizes.pop(event.path, None)
            case Kind.RENAME:
                self._sizes[event.other] = self._sizes.pop(event.path, 0)
            case Kind.LINK:
                self._sizes[event.other] = self._sizes.get(event.path, 0)
            case _:
                return

    def _is_inside(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root + "/")

    def _events(self, call: _Call) -> Iterator[Event]:
        match call.name:
            case "fsync" | "fdatasync":
                yield self._on_handle(Kind.SYNC, call, ok=call.result == 0)
            case _ if call.result < 0:
                return
            case "openat" | "open" | "creat":
                yield from self._opened(call)
            case "lseek":
                self._offsets[_number(call)] = call.result
            case "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg":
                yield self._written(call)
            case "ftruncate":
                yield self._on_handle(Kind.TRUNCATE, call, at=int(_numbers(call)[-1]))
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                old, new = self._paths(call)
                kind = Kind.RENAME if call.name.startswith("rename") else Kind.LINK
                yield Event(kind, old, call.began, call.ended, other=new)
            case "unlink" | "unlinkat" | "rmdir":
                yield Event(Kind.REMOVE, self._paths(call)[0], call.began, call.ended)
            case "mkdir" | "mkdirat":
                yield Event(Kind.MAKE_FOLDER, self._paths(call)[0], call.began, call.ended)
            case "truncate" | "fallocate":
                raise ValueError(f"`{call.name}` is not understood; no part of the product calls it")

    def _opened(self, call: _Call) -> Iterator[Event]:
        """CREATE where a file came to be; TRUNCATE where one was emptied."""
        path = call.result_path
        self._offsets[call.result] = self._sizes.get(path, 0) if "O_APPEND" in call.arguments else 0
        if "O_CREAT" in call.arguments and path not in self._sizes:
            yield Event(Kind.CREATE, path, call.began, call.ended)
        elif "O_TRUNC" in call.arguments:
            yield Event(Kind.TRUNCATE, path, call.began, call.ended)

    def _written(self, call: _Call) -> Event:
        data = b"".join(_bytes(text) for text in _TEXT.findall(call.arguments))[: call.result]
        handle = _HANDLE.match(call.arguments)
        path = _plain(handle["path"]) if handle else ""
        if not path.startswith("/"):
            return Event(Kind.SEND, path, call.began, call.ended, data=data)
        if call.name == "pwrite64":
            return Event(Kind.WRITE, path, call.began, call.ended, at=int(_numbers(call)[-1]), data=data)
        if call.name != "write":
            raise ValueError(f"`{call.name}` to a file is not understood; no part of the product calls it")
        at = self._offsets.get(_number(call), 0)
        self._offsets[_number(call)] = at + call.result
        return Event(Kind.WRITE, path, call.began, call.ended, at=at, data=data)

    def _on_handle(self, kind: Kind, call: _Call, *, at: int = 0, ok: bool = True) -> Event:
        handle = _HANDLE.match(call.arguments)
        return Event(kind, _plain(handle["path"]) if handle else "", call.began, call.ended, at=at, ok=ok)

    def _paths(self, call: _Call) -> list[str]:
        if call.name in _FOLDER_AND_NAME:
            found = [(_plain(m["folder"]), _plain(m["name"])) for m in _NAMES.finditer(call.arguments)]
            return [name if name.startswith("/") else f"{folder}/{name}" for folder, name in found]
        return [_plain(text) for text in _TEXT.findall(call.arguments)]


def _number(call: _Call) -> int:
    handle = _HANDLE.match(call.arguments)
    return int(handle["number"]) if handle else -1


def _numbers(call: _Call) -> list[str]:
    """The plain numbers among the arguments."""
    return re.findall(r", (\d+)(?=[,)])", call.arguments)


def _plain(text: str) -> str:
    if text and _HEX.fullmatch(text):
        return _bytes(text).decode(errors="surrogateescape")
    return text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
