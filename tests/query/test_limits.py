"""The memory that one expression takes is bounded too. In a process of its own, since the bound is the process's."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from pathlib import Path
from tailrace.config.settings import QuerySettings
from tailrace.serving.sql.engine import open_locked
from tailrace.serving.sql.limits import bound_memory

limits = QuerySettings(memory_bytes_max=64 << 20)
root = open_locked(limits.memory_bytes_max, Path("/nonexistent"))
assert bound_memory(limits)

def run(sql):
    cursor = root.cursor()
    try:
        return cursor.sql(sql).to_arrow_reader(8192).read_next_batch().column(0)[0].as_py()
    except Exception as error:
        return str(error).split(":")[0]
    finally:
        cursor.close()

print(run("SELECT list_sum(range(500000000))"))
print(run("SELECT length(repeat('x', 2000000000))"))
print(run("SELECT count(*) FROM range(1000000)"))
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024 < 1800)
"""


def test_values_inside_an_expression_are_bounded_and_the_process_lives_on() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Out of Memory Error", "Out of Memory Error", "1000000", "True"]
