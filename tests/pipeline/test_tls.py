"""TLS at a second address: a certificate that is made, one's own, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from websockets.sync.client import connect

from tailrace.config.load import load_settings
from tailrace.config.settings import Settings
from tailrace.errors import Invalid
from tailrace.pipeline.certificate import certificate_files, ready_certificate
from tailrace.pipeline.run_file import read_run_file
from tailrace.runtime.clock import ManualClock
from tailrace.testing.node import RunningNode

DAY_S = 86_400
LINE = b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/home","status":200}\n'


def ask(url: str, certificate: Path) -> subprocess.CompletedProcess[str]:
    """The command line, which trusts what OpenSSL trusts."""
    command = [sys.executable, "-m", "tailrace.cli.main", "query", "--url", url, "--csv"]
    return subprocess.run(
        [*command, "SELECT count(*) AS n FROM logs"],
        env={**os.environ, "SSL_CERT_FILE": str(certificate)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_700_000_000_000_000)


def settings(folder: Path, extra: str = "", listen: str = "127.0.0.1:0") -> Settings:
    (folder / "tailrace.toml").write_text(f'[tls]\nlisten = "{listen}"\n{extra}')
    return load_settings(folder=folder)


def test_everything_is_spoken_at_both_addresses(tmp_path: Path) -> None:
    config = tmp_path / "tailrace.toml"
    config.write_text('[tls]\nlisten = "127.0.0.1:0"\n')
    with RunningNode(tmp_path / "data", config=config) as node:
        running = read_run_file(tmp_path / "data" / "run")
        assert running is not None
        certificate = tmp_path / "data" / "tls" / "certificate.pem"
        trusting = ssl.create_default_context(cafile=str(certificate))
        for two in (True, False):
            with httpx.Client(http1=not two, http2=two, verify=trusting, base_url=running.tls_url) as client:
                answer = client.post("/v1/logs", content=LINE * 5_000)
                assert answer.json()["accepted"] == 5_000
                assert answer.http_version == ("HTTP/2" if two else "HTTP/1.1")
                assert client.get("/v1/views").status_code == 200
        with connect(running.tls_url.replace("https", "wss") + "/v1/live", ssl=trusting) as live:
            live.send(json.dumps({"type": "subscribe", "id": 1, "view": "endpoint_health"}))
            assert json.loads(live.recv(timeout=20))
        asked = ask(running.tls_url, certificate)
        assert (asked.returncode, asked.stdout) == (0, '"n"\n10000\n')
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{running.tls_url}/healthz")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{running.tls_url.replace('https', 'http')}/healthz")
        assert node.post_logs(LINE).status == 200
    assert (tmp_path / "data" / "tls").stat().st_mode & 0o077 == 0
    assert str(certificate) in node.log_path.read_text()


def test_a_certificate_is_made_once_and_again_before_it_expires(tmp_path: Path, clock: ManualClock) -> None:
    given = settings(tmp_path)
    certificate, key = certificate_files(given)
    ready_certificate(given, clock)
    first = certificate.read_bytes(), key.read_bytes()
    clock.advance(360 * DAY_S)
    ready_certificate(given, clock)
    assert (certificate.read_bytes(), key.read_bytes()) == first
    clock.advance(30 * DAY_S)
    ready_certificate(given, clock)
    assert certificate.read_bytes() != first[0]
    certificate.write_bytes(b"no certificate")
    ready_certificate(given, clock)
    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    held = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == ["localhost"]


def test_a_certificate_names_where_the_node_listens(tmp_path: Path, clock: ManualClock) -> None:
    given = settings(tmp_path)
    ready_certificate(given, clock)
    assert given.tls is not None
    for host in ("logs.example", "192.0.2.7"):
        named = replace(given, tls=replace(given.tls, listen_host=host))
        ready_certificate(named, clock)
        found = x509.load_pem_x509_certificate(certificate_files(named)[0].read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert host in [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def test_ones_own_certificate_is_used_and_never_made(tmp_path: Path, clock: ManualClock) -> None:
    ready_certificate(settings(tmp_path), clock)
    (tmp_path / "tailrace-data" / "tls").rename(tmp_path / "own")
    given = settings(tmp_path, 'certificate = "own/certificate.pem"\nkey = "own/key.pem"')
    ready_certificate(given, clock)
    assert certificate_files(given) == (tmp_path / "own" / "certificate.pem", tmp_path / "own" / "key.pem")
    assert not given.tls_dir.exists()
    (tmp_path / "own" / "key.pem").write_text("no key")
    with pytest.raises(Invalid, match=r"key\.pem` cannot be used"):
        ready_certificate(given, clock)
    (tmp_path / "own" / "key.pem").unlink()
    with pytest.raises(Invalid, match="cannot be used"):
        ready_certificate(given, clock)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tls]\n", r"`tls\.listen` is missing"),
        ('[tls]\nlisten = "x"\n', r"`tls\.listen` cannot be `x`"),
        ('[tls]\nlisten = "127.0.0.1:1"\ncert = "a"\n', r"no setting `tls\.cert`"),
        ('[tls]\nlisten = "127.0.0.1:1"\nkey = "a"\n', r"`tls\.certificate` is missing"),
        ('[tls]\nlisten = "127.0.0.1:1"\ncertificate = "a"\n', r"`tls\.key` is missing"),
        ('[tls]\nlisten = "127.0.0.1:1"\ncertificate = 1\nkey = "a"\n', r"`tls\.certificate` cannot be `1`"),
        ("tls = 1\n", "`tls` cannot be `1`"),
    ],
)
def test_a_table_that_is_wrong_is_explained(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "tailrace.toml").write_text(table)
    with pytest.raises(Invalid, match=message):
        load_settings(folder=tmp_path)
