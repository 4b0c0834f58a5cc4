"""What a process of a node is given, and what its module must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tailrace.config.settings import Settings
from tailrace.pipeline.lifeline import Lifeline


@dataclass(frozen=True, slots=True)
class RoleArguments:
    """What a role is given. `name`: unique in the node.

    `listen_handle`, `tls_handle`: the inherited TCP sockets (ingest only); -1: there is none.
    """

    name: str
    settings: Settings
    lifeline: Lifeline
    listen_handle: int
    tls_handle: int


class Role(Protocol):
    """A module `tailrace.pipeline.<role>`. `run` returns once `lifeline.stop` is set and all is put away."""

    def run(self, arguments: RoleArguments) -> None: ...
