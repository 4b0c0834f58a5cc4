"""Serves the built page: one index, hashed assets, and, where nothing is built, a page that says how to build it.

The node's ASGI app mounts `routes()`. Files are read once per change and kept in memory with a gzip copy. Nothing outside
the static folder can be reached: a name is looked up in a list, never joined to a path.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.errors import NotFound

STATIC_DIR = Path(__file__).with_name("static")

# `default-src 'none'`: what is not named here cannot be loaded, so no request of the page can leave its own origin, and no text
# from a log that should slip through as HTML could run.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_REVALIDATE = "no-cache"
_FOREVER = "public, max-age=31536000, immutable"
_GZIP_BYTES_MIN = 1_024
# Written down, since the table of the operating system may say otherwise, and `nosniff` makes that fatal.
_MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}

_NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tailrace: the dashboard is not built</title>
<h1>The dashboard is not built</h1>
<p>The node runs and its API answers (see <a href="openapi.json">openapi.json</a>); only the files of this page are missing.</p>
<p>In a git checkout:</p>
<pre>make web</pre>
<p>or, without make:</p>
<pre>uv sync --reinstall-package tailrace</pre>
<p>Neither needs Node on the machine: it comes from a Python package. Installed with <code>TAILRACE_SKIP_WEB=1</code>? Unset it
first. Then load this page again; the node need not be restarted.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    gzipped: bytes | None
    media_type: str
    etag: str
    cache_control: str


class Page:
    """The built files, by their path below the static folder. Reads them again when index.html has changed."""

    def __init__(self, static_dir: Path) -> None:
        self._dir = static_dir
        self._stamp: tuple[int, int] | None = None
        self._files: dict[str, _File] = {}

    def file(self, name: str) -> _File | None:
        """None where there is no such file, or nothing is built."""
        index = self._dir / "index.html"
        try:
            stat = index.stat()
        except FileNotFoundError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._stamp:
            self._files = {
                path.relative_to(self._dir).as_posix(): _read(path, self._dir)
                for path in sorted(self._dir.rglob("*"))
                if path.is_file()
            }
            self._stamp = stamp
        return self._files.get(name)


def routes(static_dir: Path = STATIC_DIR) -> list[Route]:
    """Routes of the page: `/`, `/assets/*` and the few files beside the index."""
    page = Page(static_dir)

    async def index(request: Request) -> Response:
        file = page.file("index.html")
        if file is None:
            headers = {**_HEADERS, "Cache-Control": "no-store"}
            return Response(_NOT_BUILT, status_code=503, media_type="text/html", headers=headers)
        return _respond(request, file)

    async def asset(request: Request) -> Response:
        return answer(request, f"assets/{request.path_params['path']}")

    async def favicon(request: Request) -> Response:
        return answer(request, "favicon.svg")

    async def theme(request: Request) -> Response:
        return answer(request, "theme.js")

    def answer(request: Request, path: str) -> Response:
        file = page.file(path)
        if file is None:
            raise NotFound(f"there is no file `{path}`", hint="load the page again: it may have been rebuilt")
        return _respond(request, file)

    return [
        Route("/", index),
        Route("/index.html", index),
        Route("/assets/{path:path}", asset),
        Route("/favicon.svg", favicon),
        Route("/theme.js", theme),
    ]


def _read(path: Path, root: Path) -> _File:
    body = path.read_bytes()
    media_type = _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    squeezed = gzip.compress(body, 6, mtime=0) if len(body) >= _GZIP_BYTES_MIN else None
    hashed = path.parent.name == "assets" and path.parent.parent == root
    stat = path.stat()
    return _File(
        body=body,
        gzipped=squeezed,
        media_type=media_type,
        etag=f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
        cache_control=_FOREVER if hashed else _REVALIDATE,
    )


def _respond(request: Request, file: _File) -> Response:
    headers = {**_HEADERS, "ETag": file.etag, "Cache-Control": file.cache_control}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.body
    if file.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = file.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=file.media_type, headers=headers)
