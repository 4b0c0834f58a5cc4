"""Take the pictures of docs/producers.md: each scenario over fifteen minutes of event time, as the dashboard shows it.

python tools/scenario_pictures.py docs/images [NAME...]

Needs Chromium and the built dashboard. Each run is verified first. Reduce the files to a palette (pngquant) before they are committed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tailrace.producers.scenarios.catalog import SCENARIOS
from tailrace.testing.node import RunningNode

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HISTORY = ("--since", "15m", "--speed", "91x", "--rate", "6000")
SETTLED_MS = 6_000
PANELS = {"x": 0, "y": 54, "width": 1280, "height": 672}


def take(browser: object, name: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, RunningNode(Path(folder) / "data") as node:
        url, manifest = f"http://127.0.0.1:{node.port}", str(Path(folder) / "manifest.ndjson")
        tailrace("produce", "--to", url, *HISTORY, "--scenario", name, "--manifest", manifest)
        tailrace("verify", manifest)
        page = browser.new_page(viewport={"width": 1280, "height": 760}, timezone_id="UTC", device_scale_factor=0.6)
        page.goto(f"{url}/?range=15m")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=str(out / f"scenario-{name}.png"), clip=PANELS)
        page.close()


def tailrace(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tailrace.cli.main", *words], check=True)


def main() -> None:
    out, *names = sys.argv[1:]
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for name in names or SCENARIOS:
            take(browser, name, Path(out))
        browser.close()


if __name__ == "__main__":
    main()
