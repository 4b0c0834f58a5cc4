"""A pytest plugin: name at the end what a run left out, and why.

A skipped test is easy to overlook. This prints each reason once with its count, and with TAILRACE_REQUIRE_ALL=1 makes
every left-out test a failure, so that a machine that should be able to run everything proves it.
TAILRACE_MAY_LEAVE_OUT is a regular expression: reasons that match it are named but do not fail.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Generator

import pytest

NOT_CHOSEN = "not chosen on the command line"
REQUIRE_ALL = os.environ.get("TAILRACE_REQUIRE_ALL", "") not in ("", "0")
MAY_LEAVE_OUT = os.environ.get("TAILRACE_MAY_LEAVE_OUT", "")

_tests: pytest.StashKey[Counter[str]] = pytest.StashKey()
_collected: pytest.StashKey[Counter[str]] = pytest.StashKey()
_WORKER_KEY = "left_out"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_tests] = Counter()
    config.stash[_collected] = Counter()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Runs where tests are shared among processes: each ran some of the tests, all of them collected the same."""
    config, output = node.config, getattr(node, "workeroutput", {})  # type: ignore[attr-defined]
    tests, collected = output.get(_WORKER_KEY, ({}, {}))
    config.stash[_tests].update(tests)
    config.stash[_collected] |= Counter(collected)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _note(report, item.config.stash[_tests], item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _note(report, collector.config.stash[_collected], collector.nodeid)
    return report


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[_collected][NOT_CHOSEN] += len(items)


def _note(report: pytest.TestReport | pytest.CollectReport, counter: Counter[str], nodeid: str) -> None:
    """Count the report's reason; where everything is required, turn the report into a failure."""
    reason = _reason(report)
    counter[reason] += 1
    if _is_required(reason):
        report.outcome = "failed"
        report.longrepr = f"{nodeid} was left out ({reason}), and TAILRACE_REQUIRE_ALL asks for every test"


def _is_required(reason: str) -> bool:
    return REQUIRE_ALL and not (MAY_LEAVE_OUT and re.search(MAY_LEAVE_OUT, reason))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ") or "no reason given"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    stash, output = session.config.stash, getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_WORKER_KEY] = (dict(stash[_tests]), dict(stash[_collected]))
    if exitstatus == 0 and stash[_collected][NOT_CHOSEN] and _is_required(NOT_CHOSEN):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[_tests] + config.stash[_collected]
    if not left_out:
        terminalreporter.write_line("left out: nothing")
        return
    terminalreporter.section("left out")
    for reason, count in sorted(left_out.items()):
        terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")
