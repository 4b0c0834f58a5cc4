"""`tailrace.Producer` and `tailrace.LogHandler`: logs of a Python service, sent from a thread of their own."""

from __future__ import annotations

from tailrace.producers.client.handler import LogHandler
from tailrace.producers.client.producer import Producer

__all__ = ["LogHandler", "Producer"]
