"""Open a page in a browser where there is one with a screen. A machine without is no error."""

from __future__ import annotations

import os
import sys
import threading

TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m", "browsh")


def open_page(url: str) -> bool:
    """Whether a browser was asked. Never raises, never waits, never takes over the terminal."""
    if not has_screen(dict(os.environ), sys.platform):
        return False
    threading.Thread(target=_open, args=(url,), name="browser", daemon=True).start()
    return True


def has_screen(environment: dict[str, str], platform: str) -> bool:
    """Whether a window could appear: a desktop session, and nobody who said no with BROWSER=none or CI."""
    if environment.get("BROWSER") == "none" or environment.get("CI"):
        return False
    if platform == "darwin":
        return not environment.get("SSH_CONNECTION")
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _open(url: str) -> None:
    import webbrowser

    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if getattr(found, "basename", getattr(found, "name", "")) not in TEXT_BROWSERS:
        found.open(url)
