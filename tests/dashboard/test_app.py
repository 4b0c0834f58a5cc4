"""The built page as it is served: headers, caching, compression, and what happens where nothing is built."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from tailrace.dashboard.app import CONTENT_SECURITY_POLICY, routes
from tailrace.errors import NotFound

SCRIPT = b"console.log('tailrace');" * 200


@pytest.fixture
def static(tmp_path: Path) -> Path:
    root = tmp_path / "static"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>Tailrace</title>")
    (root / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (root / "assets" / "index-abc123.js").write_bytes(SCRIPT)
    (tmp_path / "secret.txt").write_text("not for the web")
    return root


async def ask(static_dir: Path, path: str, **headers: str) -> httpx.Response:
    app = Starlette(routes=routes(static_dir))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.get(path, headers={"accept-encoding": "identity", **headers})


@pytest.mark.anyio
async def test_the_index_is_asked_for_each_time_and_its_assets_never_again(static: Path) -> None:
    index = await ask(static, "/")
    assert (index.status_code, index.headers["cache-control"]) == (200, "no-cache")
    asset = await ask(static, "/assets/index-abc123.js")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    assert asset.content == SCRIPT


@pytest.mark.anyio
async def test_every_answer_carries_the_policy(static: Path) -> None:
    for path in ("/", "/index.html", "/favicon.svg", "/assets/index-abc123.js"):
        answer = await ask(static, path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


@pytest.mark.anyio
async def test_an_unchanged_index_is_304_and_a_changed_one_is_read_again(static: Path) -> None:
    first = await ask(static, "/")
    again = await ask(static, "/", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    (static / "index.html").write_text("<!doctype html><title>Tailrace, built again</title>")
    changed = await ask(static, "/", **{"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert "built again" in changed.text


@pytest.mark.anyio
async def test_large_files_travel_compressed_to_who_can_read_it(static: Path) -> None:
    app = Starlette(routes=routes(static))
    transport = httpx.ASGITransport(app=app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://node") as client,
        client.stream("GET", "/assets/index-abc123.js", headers={"accept-encoding": "gzip"}) as answer,
    ):
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < len(SCRIPT) / 4
    assert gzip.decompress(raw) == SCRIPT


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["/assets/..%2f..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/assets/none.js"]
)
async def test_nothing_outside_the_folder_can_be_reached(static: Path, path: str) -> None:
    with pytest.raises(NotFound):
        await ask(static, path)


@pytest.mark.anyio
async def test_where_nothing_is_built_the_page_says_how(tmp_path: Path) -> None:
    answer = await ask(tmp_path / "static", "/")
    assert answer.status_code == 503
    assert "make web" in answer.text
    assert answer.headers["cache-control"] == "no-store"
