"""Every error Tailrace raises, named by what the caller does next.

    TailraceError
    +-- Invalid                fix the input, then ask again (HTTP 400)
    |   +-- ViewError          fix the SQL at `line`, `column`
    |   +-- TooLarge           send less at once (413)
    |   +-- NotFound           ask for something that exists (404)
    |   +-- Unauthorized       show a key (401)
    |   +-- Forbidden          ask who may do it, or show another key (403)
    |   +-- Timeout            ask for less: it took too long (408)
    |   +-- Expired            ask about something younger: what it needs has been let go (410)
    +-- Unavailable            ask again after `retry_after_s` (503)
    |   +-- Backpressure       the same, because a queue is full (429)
    |   +-- TooOften           the same, because it was asked too often (429)
    +-- Conflict               somebody else was first: read again, then decide (409)
    |   +-- Fenced             a newer writer has taken over: stop writing
    |   +-- ShardClosed        a shard was split or merged: go on with those that took its place
    +-- Trimmed                the data is gone: start from `earliest`
    +-- Corrupt                an operator must look at `path`
    |   +-- GapFound           records `first`..`last` of `shard` are missing
    +-- Newer                  a later version has written it: go on with that one
    +-- InternalError          our bug: please report it

Messages are lower case, with values in backticks. `hint` is the next step for a person, or empty.
"""

from __future__ import annotations


class TailraceError(Exception):
    """Base of all errors; `code` is the stable name in the HTTP error shape."""

    code = "error"
    http_status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, dict[str, str]]:
        """The one error shape of the HTTP API."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class Invalid(TailraceError):
    code = "invalid"
    http_status = 400


class ViewError(Invalid):
    """A view's SQL cannot be used; `line` and `column` count from 1."""

    code = "view_error"

    def __init__(self, message: str, *, line: int = 1, column: int = 1, hint: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}", hint=hint)
        self.line = line
        self.column = column


class TooLarge(Invalid):
    code = "too_large"
    http_status = 413


class NotFound(Invalid):
    code = "not_found"
    http_status = 404


class Unauthorized(Invalid):
    code = "unauthorized"
    http_status = 401


class Forbidden(Invalid):
    code = "forbidden"
    http_status = 403


class Timeout(Invalid):
    code = "timeout"
    http_status = 408


class Expired(Invalid):
    code = "expired"
    http_status = 410


class Unavailable(TailraceError):
    code = "unavailable"
    http_status = 503

    def __init__(self, message: str, *, retry_after_s: int = 1, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Backpressure(Unavailable):
    code = "backpressure"
    http_status = 429


class TooOften(Unavailable):
    code = "too_often"
    http_status = 429


class Conflict(TailraceError):
    code = "conflict"
    http_status = 409


class Fenced(Conflict):
    code = "fenced"


class ShardClosed(Conflict):
    """A shard takes nothing any more. Nothing of what was appended is stored; `shards()` names those that took its place."""

    code = "shard_closed"


class Trimmed(TailraceError):
    """Records before offset `earliest` of `shard` are no longer kept."""

    code = "trimmed"
    http_status = 410

    def __init__(self, shard: str, asked: int, earliest: int) -> None:
        super().__init__(
            f"shard `{shard}` is trimmed to offset `{earliest}`, asked for `{asked}`",
            hint=f"start from offset {earliest}",
        )
        self.shard = shard
        self.earliest = earliest


class Corrupt(TailraceError):
    """A stored file does not read back as it was written."""

    code = "corrupt"

    def __init__(self, path: str, detail: str, *, hint: str = "") -> None:
        super().__init__(
            f"`{path}` is damaged: {detail}", hint=hint or "restore it from a backup, or run tailrace doctor"
        )
        self.path = path


class GapFound(Corrupt):
    """Offsets `first`..`last` (both missing) of `shard` should exist and do not."""

    code = "gap"

    def __init__(self, shard: str, first: int, last: int) -> None:
        super().__init__(shard, f"offsets `{first}` to `{last}` are missing")
        self.shard = shard
        self.first = first
        self.last = last


class Newer(TailraceError):
    """Stored data is of a later version than this one."""

    code = "newer"


class InternalError(TailraceError):
    code = "internal"
