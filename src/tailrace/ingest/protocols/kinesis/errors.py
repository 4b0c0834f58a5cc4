"""Errors in AWS's names. The text after the name is what AWS writes where that is documented or widely seen."""

from __future__ import annotations

from tailrace.errors import Backpressure, Conflict, NotFound, TailraceError, Unavailable

NAMES_500 = frozenset({"InternalFailure", "InternalFailureException", "ServiceUnavailable"})


class KinesisError(Exception):
    """`name`: what SDKs make an exception class of. `status`: 400, or 500 and above for what a client may try again."""

    def __init__(self, name: str, message: str, status: int = 0) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = status or (500 if name in NAMES_500 else 400)


def argument(message: str) -> KinesisError:
    return KinesisError("InvalidArgumentException", message)


def not_found(message: str) -> KinesisError:
    return KinesisError("ResourceNotFoundException", message)


def in_use(message: str) -> KinesisError:
    return KinesisError("ResourceInUseException", message)


def limit(message: str) -> KinesisError:
    return KinesisError("LimitExceededException", message)


def validation(message: str) -> KinesisError:
    return KinesisError("ValidationException", message)


def denied(message: str) -> KinesisError:
    return KinesisError("AccessDeniedException", message)


def serialization(message: str) -> KinesisError:
    return KinesisError("SerializationException", message)


def of_ours(error: TailraceError) -> KinesisError:
    """What stands for an error of ours: SDKs try again after those of throughput and availability."""
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    if isinstance(error, Backpressure):
        return KinesisError("ProvisionedThroughputExceededException", text)
    if isinstance(error, NotFound):
        return not_found(text)
    if isinstance(error, Conflict):
        return in_use(text)
    if isinstance(error, Unavailable):
        return KinesisError("ServiceUnavailable", text, 503)
    if error.http_status < 500:
        return argument(text)
    return KinesisError("InternalFailure", text)
