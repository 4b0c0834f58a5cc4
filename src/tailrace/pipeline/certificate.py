"""The certificate of a node that speaks TLS: one's own, or one that is made here.

The one that is made signs itself, for this machine's names and addresses: clients are told to trust that file. It lies in DATA/tls,
which only its owner can enter, and is made anew a month before it expires.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tailrace.config.settings import Settings
from tailrace.errors import Invalid, Unavailable
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import make_folder, write_atomic

VALID_DAYS = 398
RENEWED_DAYS = 30
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")


def certificate_files(settings: Settings) -> tuple[Path, Path]:
    """Certificate and key, whether they are there or not."""
    if settings.tls is not None and settings.tls.certificate is not None and settings.tls.key is not None:
        return settings.tls.certificate, settings.tls.key
    return settings.tls_dir / "certificate.pem", settings.tls_dir / "key.pem"


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Of a server; HTTP/2 is offered. Raises OSError if the files cannot be read or do not belong together."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def ready_certificate(settings: Settings, clock: Clock) -> None:
    """Make one if it is needed. Raises Invalid if one's own cannot be used, Unavailable if none can be made."""
    certificate, key = certificate_files(settings)
    if settings.tls is not None and settings.tls.certificate is None:
        now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
        hosts = _hosts(settings.tls.listen_host)
        if not _serves(certificate, hosts, now):
            _make(certificate, key, hosts, now)
    try:
        tls_context(certificate, key)
    except OSError as error:
        raise Invalid(
            f"`{certificate}` and `{key}` cannot be used for TLS: {error}",
            hint="give PEM files of a certificate and of its key as tls.certificate and tls.key, or neither to have one made",
        ) from error


def _hosts(listen_host: str) -> tuple[str, ...]:
    """What the certificate is for."""
    own = () if listen_host in (*_NAMES, *_ADDRESSES, *_EVERYWHERE) else (listen_host,)
    return (*_NAMES, *_ADDRESSES, *own)


def _library() -> Any:
    try:
        from cryptography import x509
    except ImportError as error:
        raise Unavailable(
            "no certificate can be made without the library `cryptography`",
            hint="pip install 'tailrace[tls]', or give a certificate of your own: tls.certificate and tls.key",
        ) from error
    return x509


def _serves(path: Path, hosts: tuple[str, ...], now: datetime) -> bool:
    """Whether a certificate made earlier is for all of `hosts` and for long enough."""
    if not path.exists():
        return False
    x509 = _library()
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    held = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    lasts: bool = found.not_valid_before_utc <= now < found.not_valid_after_utc - timedelta(days=RENEWED_DAYS)
    return lasts and held.issuperset(hosts)


def _make(certificate: Path, key: Path, hosts: tuple[str, ...], now: datetime) -> None:
    x509 = _library()
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "Tailrace")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName([_named(x509, host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    make_folder(certificate.parent)
    certificate.parent.chmod(0o700)
    pem = serialization.Encoding.PEM
    secret = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomic(key, secret, mode=0o600)
    write_atomic(certificate, made.public_bytes(pem))


def _named(x509: Any, host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
