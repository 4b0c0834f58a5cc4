"""What `tailrace doctor` looks at: the machine, the data folder, the running node. Reads only, but for a test of the disk."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.pipeline.checkup import data, machine, node
from tailrace.pipeline.checkup.finding import FAIL, Finding
from tailrace.runtime.clock import Clock


def examine(settings: Settings, clock: Clock, *, deep: bool = False) -> Iterator[Finding]:
    """All findings, one check after the other. `deep`: also decode every block of the stream and check its sums."""
    checks = [
        ("python", machine.python),
        ("packages", machine.packages),
        ("page", machine.page),
        ("disk", lambda: machine.disk(settings.data_dir)),
        ("file system", lambda: machine.file_system(settings.data_dir)),
        ("fsync", lambda: machine.fsync(settings.data_dir, clock)),
        ("lock", lambda: node.lock(settings)),
        ("port", lambda: node.port(settings)),
        ("node", lambda: node.answers(settings)),
        ("views", lambda: data.views(settings)),
        ("stream", lambda: data.stream(settings, clock, deep=deep)),
        ("lake", lambda: data.lake(settings)),
        ("manifest", lambda: data.manifest(settings)),
    ]
    for name, check in checks:
        try:
            yield check()
        except TailraceError as error:
            yield Finding(name, FAIL, error.message, error.hint)
        except OSError as error:
            yield Finding(name, FAIL, str(error), "check the folder's owner and rights")
