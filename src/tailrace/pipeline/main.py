"""What each child process runs: `python -m tailrace.pipeline.main ROLE --data DIR --name NAME [--listen-handle N] [--tls-handle N]`.

Started by the supervisor only: it needs the finished settings in DATA/run and ends when standard input does. Exit codes: 0 told to
stop, 1 a failure that a new start may cure, 2 a person has to change something first.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from tailrace.config.handed_on import read_settings
from tailrace.errors import Invalid, TailraceError
from tailrace.pipeline.lifeline import Lifeline
from tailrace.pipeline.role import Role, RoleArguments
from tailrace.pipeline.roles import BATCH, INGEST, NODE, QUERY, log_path

LOG = logging.getLogger("tailrace.pipeline.main")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tailrace.pipeline.main")
    parser.add_argument("role", choices=[INGEST, NODE, BATCH, QUERY])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--listen-handle", type=int, default=-1)
    parser.add_argument("--tls-handle", type=int, default=-1)
    given = parser.parse_args(words)
    lifeline = Lifeline(log_path(given.data / "run", given.name))
    try:
        settings = read_settings(given.data)
        LOG.info("%s starts, pid %d", given.name, os.getpid())
        role: Role = importlib.import_module(f"tailrace.pipeline.{given.role}")
        preload()
        lifeline.begin()
        role.run(RoleArguments(given.name, settings, lifeline, given.listen_handle, given.tls_handle))
    except Invalid as error:
        LOG.error("%s%s", error.message, f" ({error.hint})" if error.hint else "")
        return 2
    except TailraceError as error:
        LOG.exception("%s (%s)", error.message, error.hint)
        return 1
    if lifeline.failed:
        return 1
    LOG.info("%s ends", given.name)
    return 0


def preload() -> None:
    """Have the libraries load what they otherwise load at the first record: 60 ms that no post, and no look, should wait for."""
    table = pa.table({"number": pa.array(np.zeros(1))})
    table["number"].to_numpy()
    with duckdb.connect() as connection:
        connection.register("preloaded", table)
        connection.execute("FROM preloaded").fetchall()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
