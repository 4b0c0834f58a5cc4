"""Write the page's types of the HTTP API from the node's OpenAPI document, so that the two cannot come to differ.

python tools/api_types.py

It needs Node on PATH and what `npm ci` puts into web/node_modules. The file names the document that it was made from by a hash; a test
compares that, without Node.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parents[1] / "web"
TYPES = WEB / "src" / "api" / "schema.d.ts"
GENERATOR = WEB / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
HEAD = "// Made from the node's OpenAPI document by tools/api_types.py; not to be edited.\n// document: {digest}\n"


def described() -> dict[str, Any]:
    """The document, but for the version of Tailrace, which changes no type."""
    from tailrace.dashboard.openapi import document

    found = document()
    return found | {"info": found["info"] | {"version": ""}}


def head() -> str:
    """The first two lines of the file that belongs to the document of now."""
    content = json.dumps(described(), sort_keys=True).encode()
    return HEAD.format(digest=hashlib.sha256(content).hexdigest())


def generated() -> str:
    """The types. Raises SystemExit where they cannot be made."""
    node = shutil.which("node")
    if node is None or not GENERATOR.is_file():
        raise SystemExit("api_types: needs Node on PATH, and `npm ci` in web/")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "openapi.json"
        source.write_text(json.dumps(described()))
        done = subprocess.run([node, str(GENERATOR), str(source)], capture_output=True, text=True, check=False, cwd=WEB)
    if done.returncode or "export" not in done.stdout:
        raise SystemExit(f"api_types: {done.stderr or done.stdout}")
    return done.stdout


def main() -> int:
    TYPES.write_text(head() + generated(), encoding="utf-8")
    print(f"wrote {TYPES.relative_to(WEB.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
