"""The committed table says what the installed botocore says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from tailrace.ingest.protocols.kinesis.api import api
from tailrace.ingest.protocols.kinesis.control import OPERATIONS
from tailrace.ingest.protocols.kinesis.describe import Describe

ROOT = Path(__file__).parents[2]


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("kinesis_model", ROOT / "tools" / "kinesis_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_is_that_of_the_installed_model() -> None:
    tool = _tool()
    assert tool.TARGET.read_text() == tool.encoded(), "run: python tools/kinesis_model.py"


def test_every_operation_is_answered_somewhere() -> None:
    looked_up = Describe.__new__(Describe)
    Describe.__init__(looked_up, None)  # type: ignore[arg-type]
    elsewhere = {"PutRecord", "PutRecords", "GetRecords", "GetShardIterator", "SubscribeToShard"}
    assert set(api().operations) == OPERATIONS | set(looked_up.operations) | elsewhere


def test_product_does_not_load_botocore() -> None:
    code = "import tailrace.ingest.app, sys; sys.exit('botocore' in sys.modules or 'boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
