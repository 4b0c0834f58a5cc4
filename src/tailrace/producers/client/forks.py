"""Producers over `os.fork`: the parent goes on; the child begins anew, with nothing of what the parent will send."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_all: weakref.WeakSet[Forkable] = weakref.WeakSet()
_held: list[Forkable] = []
_registered = threading.Lock()


def watch(producer: Forkable) -> None:
    """From now on it is told of forks."""
    if _registered.acquire(blocking=False):  # once a process, and never given back
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    _all.add(producer)


def _before() -> None:
    _held[:] = list(_all)
    for each in _held:
        each.before_fork()


def _in_parent() -> None:
    for each in reversed(_held):
        each.after_fork_in_parent()
    _held.clear()


def _in_child() -> None:
    for each in _held:
        each.after_fork_in_child()
    _held.clear()
