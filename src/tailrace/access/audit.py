"""Who did what: a line of JSON in the log of the process, and a row that `/v1/audit` shows. Neither holds a secret."""

from __future__ import annotations

import logging

import msgspec

from tailrace.access.model import AuditRow
from tailrace.access.store import AccessStore
from tailrace.errors import TailraceError
from tailrace.model.window import iso

LOG = logging.getLogger("tailrace.audit")
_CHARS_MAX = 300


def note(store: AccessStore, row: AuditRow) -> None:
    """Blocks for as long as a commit takes. What cannot be stored stands in the log."""
    row = AuditRow(
        at_us=row.at_us, **{name: getattr(row, name)[:_CHARS_MAX] for name in row.__struct_fields__ if name != "at_us"}
    )
    LOG.info("%s", msgspec.json.encode({"audit": shown(row)}).decode())
    try:
        store.note(row)
    except TailraceError:
        LOG.exception("the audit cannot be stored")


def shown(row: AuditRow) -> dict[str, str]:
    """As the API and the log show it."""
    named = {name: getattr(row, name) for name in row.__struct_fields__ if name != "at_us"}
    return {"at": iso(row.at_us), **named}
