"""What can be set, with defaults that suit a laptop. `load.py` reads `tailrace.toml` into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tailrace.model.endpoint_rules import EndpointRule
from tailrace.model.fields import DEFAULT_FIELDS, Fields
from tailrace.model.line_format import LineFormat
from tailrace.runtime.disk import DiskUse


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """`queue_bytes_max`: undurable bytes a process may hold before it answers 429."""

    name: str = "logs"
    shards: int = 2
    seal_interval_ms: int = 5_000
    file_interval_s: int = 3_600
    dedupe_horizon_s: int = 86_400
    queue_bytes_max: int = 256 << 20
    commit_bytes_max: int = 16 << 20


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Limits on one request and one line. `body_bytes_max` is after decompression."""

    processes: int = 0
    """0: two, or one on a machine with one core."""
    body_bytes_max: int = 32 << 20
    line_bytes_max: int = 1 << 20
    depth_max: int = 32
    in_flight_max: int = 16
    format: str = "json"
    """Of posts that name none."""
    key_field: str = "endpoint"
    future_max_s: int = 0
    """0: no limit; records from the future are kept in their own window."""
    disk_percent_max: int = 90
    """Posts are refused while so much of the disk is used and less than `disk_free_bytes_enough` is free."""
    disk_free_bytes_enough: int = 10 << 30

    def is_full(self, disk: DiskUse) -> bool:
        return disk.percent >= self.disk_percent_max and disk.free < self.disk_free_bytes_enough


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    poll_ms: int = 40
    keys_max: int = 2_000_000
    """Keys of a view in one epoch, over all shards; with more, batch alone answers for it."""


@dataclass(frozen=True, slots=True)
class BatchSettings:
    interval_ms: int = 10_000
    nice: int = 10
    compact_segments_min: int = 8


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long things are kept and how much of them, 0: without limit; what is older, or too much, goes oldest first.

    The stream never lets go of what batch has not taken over, whatever these say. Ages count from arrival.
    """

    stream_age_s: int = 86_400
    stream_bytes_max: int = 0
    lake_age_s: int = 30 * 86_400
    lake_bytes_max: int = 0
    dead_letters_age_s: int = 30 * 86_400
    dead_letters_bytes_max: int = 1 << 30
    states_fine_age_s: int = 7 * 86_400
    """Windows shorter than a minute; at least a minute stays of them."""
    states_minute_age_s: int = 30 * 86_400
    """Windows of a minute up to an hour."""
    states_age_s: int = 400 * 86_400
    """Windows of an hour and longer."""
    states_bytes_max: int = 0


@dataclass(frozen=True, slots=True)
class QuerySettings:
    timeout_s: int = 30
    memory_bytes_max: int = 512 << 20
    rows_max: int = 10_000


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who is let in. `login_required`: on a loopback address too, where there is no user and no key yet.

    A session ends `session_s` after its log-in, and `session_idle_s` after its last request.
    """

    login_required: bool = False
    session_s: int = 7 * 86_400
    session_idle_s: int = 12 * 3_600


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """A second address, over TLS. `certificate`, `key`: PEM files, absolute; None: one is made in the data folder."""

    listen_host: str
    listen_port: int
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class KinesisSettings:
    """Of the Kinesis API. `account_id`, `region`: in ARNs. `id_field`: the field that names a record, for deduplication; empty: none."""

    account_id: str = "000000000000"
    region: str = "us-east-1"
    id_field: str = ""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What a client proves to have: by a signature over the Kinesis API, by the secret itself elsewhere.

    `scopes`: what it may do, `query` or `query:errors`; `streams`: limit those that name no stream themselves.
    """

    id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("ingest", "query", "admin")
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Folders are absolute."""

    data_dir: Path
    views_dir: Path
    alerts_dir: Path | None = None
    """Of rules and channels; None: `alerts` in the data folder."""
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    fields: Fields = DEFAULT_FIELDS
    formats: tuple[LineFormat, ...] = ()
    endpoint_rules: tuple[EndpointRule, ...] = ()
    tls: TlsSettings | None = None
    stream: StreamSettings = field(default_factory=StreamSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    speed: SpeedSettings = field(default_factory=SpeedSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    query: QuerySettings = field(default_factory=QuerySettings)
    kinesis: KinesisSettings = field(default_factory=KinesisSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    keys: tuple[AccessKey, ...] = ()
    dashboards_dir: Path | None = None
    """None: below the data folder."""
    searches_dir: Path | None = None
    local_key: str = field(default="", repr=False)
    """Made at each start, for commands of whoever can read the run folder: it may do everything. Never in a settings file."""

    @property
    def rules_dir(self) -> Path:
        """Of alert rules and channels."""
        return self.alerts_dir or self.data_dir / "alerts"

    @property
    def alerts_path(self) -> Path:
        """What alerts remember: states, history, silences, what was told to whom."""
        return self.data_dir / "alerts.db"

    @property
    def saved_searches_dir(self) -> Path:
        """Where saved searches are files: the folder that is set, else one in the data folder."""
        return self.searches_dir or self.data_dir / "searches"

    @property
    def run_dir(self) -> Path:
        """Sockets and pid files."""
        return self.data_dir / "run"

    @property
    def tls_dir(self) -> Path:
        """The certificate that is made here, and its key."""
        return self.data_dir / "tls"

    @property
    def stream_dir(self) -> Path:
        return self.data_dir / "stream" / self.stream.name

    @property
    def states_dir(self) -> Path:
        return self.data_dir / "states"

    @property
    def lake_dir(self) -> Path:
        return self.data_dir / "lake"

    @property
    def manifest_path(self) -> Path:
        return self.data_dir / "manifest.db"

    @property
    def pins_path(self) -> Path:
        return self.data_dir / "pins.db"

    @property
    def boards_dir(self) -> Path:
        """Own dashboards, as files."""
        return self.dashboards_dir or self.data_dir / "dashboards"

    @property
    def boards_path(self) -> Path:
        """Older versions of dashboards, and annotations."""
        return self.data_dir / "dashboards.db"

    @property
    def access_path(self) -> Path:
        """Users, keys and sessions."""
        return self.data_dir / "access.db"

    @property
    def kinesis_path(self) -> Path:
        """What the Kinesis API keeps about the stream: tags, consumers, retention."""
        return self.data_dir / "kinesis.json"

    @property
    def dead_letters_path(self) -> Path:
        return self.data_dir / "deadletters.db"
