"""Take the pictures of docs/pages.md: each page, light and dark, 1440 and 390 px wide, with half an hour of traffic behind it.

python tools/page_pictures.py docs/images [NAME...]

Needs Chromium and the built dashboard. Reduce the files to a palette (pngquant) before they are committed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from scenario_pictures import CHROMIUM_NAMES, tailrace

from tailrace.testing.node import RunningNode

HISTORY = ("--since", "30m", "--speed", "61x", "--rate", "2000", "--scenario")
SETTLED_MS = 8_000
TIMELINE = """
[[event]]
at = "12m"
for = "4m"
scenario = "slow"

[[event]]
at = "22m"
for = "3m"
scenario = "outage"
"""
PAGES = {
    "overview": "/?range=1h",
    "service-health": "/?page=dashboards&d=service-health&over=1h",
    "edit": "/?page=dashboards&d=service-health&over=1h&edit=error-rate",
    "explore": "/?page=explore&over=1h&q=status:>=500",
    "alerts": "/?page=alerts",
    "pipeline": "/?page=pipeline",
    "access": "/?page=access",
}
WIDTHS = {1440: 1000, 390: 844}


def take(browser: Any, node: RunningNode, name: str, out: Path) -> None:
    for width, height in WIDTHS.items():
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                timezone_id="UTC",
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{node.port}{PAGES[name]}")
            page.wait_for_timeout(SETTLED_MS)
            page.screenshot(path=str(out / f"page-{name}-{width}-{theme}.png"))
            context.close()


def main() -> None:
    out, *names = sys.argv[1:]
    found = next((path for each in CHROMIUM_NAMES if (path := shutil.which(each))), None)
    if found is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningNode(Path(folder) / "data") as node,
        sync_playwright() as playwright,
    ):
        timeline = Path(folder) / "day.toml"
        timeline.write_text(TIMELINE)
        tailrace("produce", "--to", f"http://127.0.0.1:{node.port}", *HISTORY, str(timeline))
        node.request("POST", "/v1/annotations", json.dumps({"kind": "deploy", "text": "shop 4.2"}).encode())
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for name in names or PAGES:
            take(browser, node, name, Path(out))
        browser.close()


if __name__ == "__main__":
    main()
