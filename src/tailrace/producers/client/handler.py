"""Python's own logging, sent to a node."""

from __future__ import annotations

import logging
from typing import Any

from tailrace.model.window import iso
from tailrace.producers.client.producer import LOGGER, Producer

_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
"""What every record of `logging` has; all else came by `extra=`."""
_FORMATTER = logging.Formatter()


class LogHandler(logging.Handler):
    """A handler that sends each record of `logging` to a node.

        import logging
        from tailrace import LogHandler

        logging.getLogger().addHandler(LogHandler("http://127.0.0.1:8080", service="shop"))
        logging.getLogger("pay").error("card refused", extra={"endpoint": "/pay", "status": 503})

    A record becomes `timestamp`, `level`, `message`, `logger`, `file`, `line` and `function`; an exception becomes `exception`, a stack
    `stack`, both as text; fields of `extra=` become fields of the record, and win. A formatter that was set makes the `message`.

    url: the node; or give `producer`, to share one. All other arguments are those of `Producer`, and so are bounds, policy and
    what happens in forks and at the end. Nothing is raised into the program.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        level: int | str = logging.NOTSET,
        producer: Producer | None = None,
        **options: Any,
    ) -> None:
        super().__init__(level)
        self.producer = producer or Producer(url, **options)
        self._shared = producer is not None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if record.name == LOGGER:
            return  # its own troubles would come back as records
        try:
            fields = self._fields(record)
        except Exception as error:  # noqa: BLE001 - arguments that do not fit their message; nothing may get out
            fields = {
                "timestamp": iso(round(record.created * 1e6)),
                "level": record.levelname,
                "logger": record.name,
                "message": str(record.msg),
                "logging_error": f"{type(error).__name__}: {error}",
            }
        self.producer.send(fields)

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        found: dict[str, Any] = {
            "timestamp": iso(round(record.created * 1e6)),
            "level": record.levelname,
            "message": self.format(record) if self._formats() else record.getMessage(),
            "logger": record.name,
            "file": record.pathname,
            "line": record.lineno,
            "function": record.funcName,
        }
        if record.exc_info:
            found["exception"] = _FORMATTER.formatException(record.exc_info)
        elif record.exc_text:
            found["exception"] = record.exc_text
        if record.stack_info:
            found["stack"] = record.stack_info
        found.update((name, value) for name, value in vars(record).items() if name not in _OWN)
        return found

    def _formats(self) -> bool:
        """`logging.basicConfig` gives its own format to every handler; its parts are fields here already."""
        return self.formatter is not None and getattr(self.formatter, "_fmt", None) != logging.BASIC_FORMAT

    def flush(self) -> None:
        """Wait until what was logged by now is acknowledged, for at most some seconds."""
        self.producer.flush(self.producer.close_timeout_s)

    def close(self) -> None:
        """Send what is there, and end, unless the producer is shared."""
        if self._shared:
            self.flush()
        else:
            self.producer.close()
        super().close()
