"""One tab of the browser on the node, and the readings that the tests take of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

WAIT_MS = 20_000

# Read in one go: between two steps of a test the page may have drawn anew.
_CELLS = """[...document.querySelectorAll(`[data-testid="${id}"]`)].map((row) => ({
    endpoint: row.dataset.others === "0" ? row.dataset.endpoint : null,
    cells: Object.fromEntries([...row.querySelectorAll("td[data-column]")].map((td) => [td.dataset.column, Number(td.dataset.value)])),
}))"""
TABLE_ROWS = _CELLS
TABLE_TOTAL = f"""{_CELLS}.reduce((sum, {{ cells }}) => sum + (cells.requests ?? Object.values(cells).reduce((a, b) => a + b, 0)), 0)"""


class Visit:
    """A tab, and what went wrong in it: errors on its console, and requests to anywhere but the node."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(url)

    def forgive_refused_connections(self) -> None:
        """For a test that ends its node: the browser itself logs each try that fails."""
        known = ("ERR_", "WebSocket connection", "502", "503")
        self.errors[:] = [error for error in self.errors if not any(sign in error for sign in known)]

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.base + path)
        return self.page

    def number(self, testid: str) -> float | None:
        """The exact number behind a shown one."""
        value = self.page.get_by_test_id(testid).get_attribute("data-value")
        return None if value in (None, "") else float(value)

    def wait_number(self, testid: str, expected: float) -> None:
        self.page.wait_for_selector(f'[data-testid="{testid}"][data-value="{expected:g}"]')

    def table(self, testid: str, total: float) -> dict[str | None, dict[str, float]]:
        """Rows of a panel's table by endpoint (None: all others); columns by name. The table must be shown.

        Waits until the table counts `total` requests: panels ask one by one, so each shows new lines at its own moment.
        """
        self.page.wait_for_function(f"([id, total]) => {TABLE_TOTAL} === total", arg=[testid, total])
        rows = self.page.evaluate(f"(id) => {TABLE_ROWS}", testid)
        return {row["endpoint"]: row["cells"] for row in rows}
