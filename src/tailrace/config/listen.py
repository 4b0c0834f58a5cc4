"""`HOST:PORT`, and whether it can be reached from this machine only. Pure: nothing is looked up or bound."""

from __future__ import annotations

import ipaddress
import re

from tailrace.errors import Invalid

_FORM = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})")
_HINT = "HOST:PORT such as 127.0.0.1:8080, [::1]:8080 or localhost:0 (0: any free port)"


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port). Raises Invalid unless it is `HOST:PORT`, `[V6]:PORT`, `:PORT` (loopback) or a port alone."""
    match = _FORM.fullmatch(f":{text}" if text.isdigit() else text)
    if match is None or int(match["port"]) > 65535:
        raise Invalid(f"`{text}` is no address to listen on", hint=_HINT)
    host = match["six"] or match["host"] or "127.0.0.1"
    return host, int(match["port"])


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to it. A name other than `localhost` is taken to be reachable from elsewhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_keys(host: str, *, has_keys: bool) -> None:
    """Raises Invalid for an address that other machines may reach, unless there are users or keys that keep them out."""
    if not has_keys and not is_loopback(host):
        raise Invalid(
            f"refusing to listen on `{host}`: other machines could read and write your logs, and there is no user and no key",
            hint="make a user: tailrace users add NAME --admin (or [[keys]] with id and secret in tailrace.toml); "
            "or listen on 127.0.0.1 and reach it from elsewhere "
            "through ssh: ssh -L 8080:127.0.0.1:8080 THIS_MACHINE",
        )


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """The base URL that a client on this machine uses."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
