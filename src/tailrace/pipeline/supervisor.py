"""Keeps a set of children alive and ends them in order. Knows nothing of what they do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from tailrace.pipeline.child import Child, ChildSpec, Event
from tailrace.runtime.clock import Clock


class Supervisor:
    """`on_event` is called from threads, one call at a time. Children are ended in the order of `specs`."""

    def __init__(self, specs: Sequence[ChildSpec], clock: Clock, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._telling = threading.Lock()
        self.children = [Child(spec, clock, self._tell) for spec in specs]

    def start(self) -> None:
        for child in self.children:
            child.start()

    def is_ready(self) -> bool:
        """Whether every child has said so and lives."""
        return all(child.is_ready for child in self.children)

    def stop(self, hard: threading.Event) -> None:
        """One role after the other, in the order of the specs; those of one role together. `hard`: kill what is left."""
        for role in dict.fromkeys(child.spec.role for child in self.children):
            stoppers = [
                threading.Thread(target=child.stop, args=(hard,)) for child in self.children if child.spec.role == role
            ]
            for stopper in stoppers:
                stopper.start()
            for stopper in stoppers:
                stopper.join()

    def _tell(self, event: Event) -> None:
        with self._telling:
            self._on_event(event)
