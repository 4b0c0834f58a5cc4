"""`tailrace backup` and `tailrace restore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.options import AsJson, Config, Data, Views
from tailrace.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tailrace.pipeline.backup.places import Written
    from tailrace.pipeline.backup.taking import Index

EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        metavar="URL",
        help="A server of your own that speaks S3. Without it: AWS.",
        envvar="AWS_ENDPOINT_URL_S3",
    ),
]


def backup(
    to: Annotated[str, typer.Argument(metavar="TO", help="A new folder, or s3://bucket/prefix.")],
    endpoint_url: EndpointUrl = None,
    config: Config = None,
    data: Data = None,
    views: Views = None,
    as_json: AsJson = False,
) -> None:
    """Copy all data to another place, while the node goes on.

    Everything that was acknowledged before the backup began is in it: records, dead letters, states, what retries are recognised
    by, and the view files. Posts are taken in meanwhile; the batch process stands still until the copy is done. Each file is
    listed with its SHA-256 in `backup.json`, which is written last: without it, a place holds no backup.

    ```
    tailrace backup /mnt/backups/2026-11-22
    tailrace backup s3://my-bucket/tailrace/2026-11-22
    ```

    Credentials for S3 come from the environment, as for the AWS command line. Settings (`tailrace.toml`) are not copied.

    Exit codes: 0 done, 2 there is no data or the place is taken, 3 it cannot be read or written.
    """
    from tailrace.config.load import load_settings
    from tailrace.pipeline.backup.places import Place
    from tailrace.pipeline.backup.taking import take
    from tailrace.runtime.clock import SystemClock

    settings = load_settings(config, data_dir=data, views_dir=views)
    place = Place(to, endpoint_url)
    with _showing("copying", as_json=as_json) as told:
        index = take(settings, place, SystemClock(), told)
    _print(index, f"copied to {to}", f"put it back with: tailrace restore {to} --data DIR", as_json=as_json)


def restore(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="Where a backup lies: a folder, or s3://bucket/prefix.")
    ],
    endpoint_url: EndpointUrl = None,
    config: Config = None,
    data: Data = None,
    views: Views = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup back into an empty data folder; every byte is checked on the way.

    A node started on it goes on where the backup was taken: views, dead letters and the recognition of retries included. View files
    go to the views folder; one that is there already and differs stops it before anything is written.

    ```
    tailrace restore /mnt/backups/2026-11-22 --data ./tailrace-data
    tailrace up
    ```

    Exit codes: 0 done, 2 there is no whole backup or the folder is not empty, 3 it cannot be read or written.
    """
    from tailrace.config.load import load_settings
    from tailrace.pipeline.backup.places import Place
    from tailrace.pipeline.backup.restoring import restore as put_back

    settings = load_settings(config, data_dir=data, views_dir=views)
    with _showing("restoring", as_json=as_json) as told:
        index = put_back(Place(source, endpoint_url), settings.data_dir, settings.views_dir, told)
    _print(index, f"restored to {settings.data_dir}", "start it with: tailrace up", as_json=as_json)


@contextmanager
def _showing(doing: str, *, as_json: bool) -> Iterator[Callable[[Written], None]]:
    """A line that counts files and bytes."""
    if as_json:
        yield lambda written: None
        return
    files = size = 0
    with console().status(f"{doing} ...") as status:

        def told(written: Written) -> None:
            nonlocal files, size
            files, size = files + 1, size + written.bytes
            status.update(f"{doing} {files:,} files, {size / (1 << 20):,.0f} MiB")

        yield told


def _print(index: Index, done: str, following: str, *, as_json: bool) -> None:
    if as_json:
        summary: dict[str, Any] = {"taken_at": index.taken_at, "version": index.version}
        print_json({**summary, "files": len(index.files), "bytes": index.bytes})
        return
    out = console()
    out.print(f"{len(index.files):,} files, {index.bytes / (1 << 20):,.1f} MiB {done}", markup=False, soft_wrap=True)
    out.print(f"[dim]as of {index.taken_at}; {following}[/]", soft_wrap=True)
