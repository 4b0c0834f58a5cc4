"""`tailrace.LogHandler`: records of `logging` as records of ours, whatever is in them."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace import LogHandler, Producer
from tests.ship.node import Node, running


@pytest.fixture
def node() -> Iterator[Node]:
    with running() as node:
        yield node


@pytest.fixture
def logger(node: Node) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.pay")
    handler = LogHandler(node.url, service="shop", on_error=lambda text: None)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    handler.close()


def sent(node: Node, logger: logging.Logger) -> list[dict[str, Any]]:
    logger.handlers[0].flush()
    return [json.loads(line) for line in node.lines]


def test_a_record_and_its_extra_fields(node: Node, logger: logging.Logger) -> None:
    logger.warning("card %s refused", "x7", extra={"endpoint": "/pay", "status": 503, "user": {"id": 7}})
    [found] = sent(node, logger)
    assert found.pop("timestamp").endswith("Z")
    assert found.pop("line") > 0
    assert found.pop("file").endswith("test_handler.py")
    assert found == {
        "service": "shop",
        "level": "WARNING",
        "message": "card x7 refused",
        "logger": "tests.pay",
        "function": "test_a_record_and_its_extra_fields",
        "endpoint": "/pay",
        "status": 503,
        "user": {"id": 7},
    }


def test_exceptions_and_stacks_are_text(node: Node, logger: logging.Logger) -> None:
    try:
        raise ValueError("no card")
    except ValueError:
        logger.exception("failed", stack_info=True)
    [found] = sent(node, logger)
    assert found["exception"].splitlines()[-1] == "ValueError: no card"
    assert "test_exceptions_and_stacks_are_text" in found["stack"]
    assert found["message"] == "failed"


def test_a_message_that_does_not_fit_its_arguments_is_kept(node: Node, logger: logging.Logger) -> None:
    logger.handlers[0].handle(logging.LogRecord("tests.pay", logging.INFO, "f", 1, "%d items", ("many",), None))
    [found] = sent(node, logger)
    assert (found["message"], found["level"]) == ("%d items", "INFO")
    assert found["logging_error"].startswith("TypeError")


def test_a_formatter_makes_the_message(node: Node, logger: logging.Logger) -> None:
    logger.handlers[0].setFormatter(logging.Formatter("[%(name)s] %(message)s"))
    logger.info("hello")
    assert sent(node, logger)[0]["message"] == "[tests.pay] hello"


def test_by_dictconfig_with_a_shared_level(node: Node) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"node": {"class": "tailrace.LogHandler", "url": node.url, "level": "ERROR"}},
            "loggers": {"tests.configured": {"handlers": ["node"], "propagate": False}},
        }
    )
    logger = logging.getLogger("tests.configured")
    logger.warning("no")
    logger.error("yes")
    assert [record["message"] for record in sent(node, logger)] == ["yes"]
    handler = logger.handlers[0]
    logger.removeHandler(handler)
    handler.close()


def test_a_shared_producer_is_not_closed_with_the_handler(node: Node) -> None:
    with Producer(node.url) as producer:
        handler = LogHandler(producer=producer)
        handler.emit(logging.LogRecord("a", logging.INFO, "f", 1, "one", (), None))
        handler.close()
        assert producer.send(message="two")
    assert [json.loads(line)["message"] for line in node.lines] == ["one", "two"]


def test_its_own_troubles_do_not_come_back(caplog: pytest.LogCaptureFixture) -> None:
    """The producer tells them to `logging`; were they sent, they would make more of them."""
    with running(lambda: "400") as node:
        root = logging.getLogger()
        handler = LogHandler(node.url)
        root.addHandler(handler)
        try:
            logging.getLogger("tests.loop").warning("one")
            handler.flush()
            handler.flush()
        finally:
            root.removeHandler(handler)
            counts = handler.producer.close()
    assert (counts.sent, counts.failed) == (1, 1)
    assert any("were refused" in record.getMessage() for record in caplog.records)
