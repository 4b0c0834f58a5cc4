"""`network(ip)` against Python's own reading of addresses, over ones that are whole, short, wrong and nearly right."""

from __future__ import annotations

import ipaddress

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.views.dialects.duckdb.network import network_sql
from tests.views.rig import Engine
from tests.views.samples import network

EXAMPLES = {
    "203.0.113.9": "203.0.113.0/24",
    "0.0.0.0": "0.0.0.0/24",
    "255.255.255.255": "255.255.255.0/24",
    "256.1.1.1": None,
    "01.2.3.4": None,
    "1.2.3": None,
    "1.2.3.4.5": None,
    " 1.2.3.4": None,
    "１.2.3.4": None,
    "": None,
    "-": None,
    "localhost": None,
    "2001:DB8:1::9": "2001:db8:1::/48",
    "2001:0db8:0000::": "2001:db8::/48",
    "::": "::/48",
    "::1": "::/48",
    "0:0:1::": "0:0:1::/48",
    "1::": "1::/48",
    "1:2:3:4:5:6:7:8": "1:2:3::/48",
    "1:2:3:4:5:6:7::": "1:2:3::/48",
    "::2:3:4:5:6:7:8": "0:2:3::/48",
    "1:2:3:4::5:6:7:8": None,
    "1:2:3:4:5:6:7:8::": None,
    "1::2::3": None,
    ":::": None,
    "1:::2": None,
    ":1:2:3:4:5:6:7": None,
    "1:2:3:4:5:6:7:": None,
    "12345::": None,
    "g::1": None,
    "fe80::1%eth0": None,
    "64:ff9b::1.2.3.4": "64:ff9b::/48",
    "::ffff:203.0.113.9": "203.0.113.0/24",
    "::FFFF:cb00:7109": "203.0.113.0/24",
    "0:0:0:0:0:ffff:203.0.113.9": "203.0.113.0/24",
    "::ffff:0:1.2.3.4": "::/48",
    "::1.2.3.4": "::/48",
    "1.2.3.4::": None,
}


def networks(engine: Engine, addresses: list[str | None]) -> list[str | None]:
    table = pa.table({"ip": pa.array(addresses, pa.string())})
    found: list[str | None] = engine.run(f"SELECT {network_sql('r.ip')} AS n FROM source AS r", source=table)[
        "n"
    ].to_pylist()
    return found


def test_examples(engine: Engine) -> None:
    assert dict(zip(EXAMPLES, networks(engine, list(EXAMPLES)), strict=True)) == EXAMPLES
    assert networks(engine, [None]) == [None]


@pytest.mark.parametrize("address", EXAMPLES)
def test_the_examples_are_right(address: str) -> None:
    assert network(address) == EXAMPLES[address]


def groups() -> st.SearchStrategy[str]:
    """Near misses of IPv6: any number of groups, a gap or two anywhere, perhaps a dotted tail."""
    group = st.sampled_from(["0", "00", "0000", "ffff", "FFFF", "1", "db8", "0db8", "cb00", "12345", "g", ""])
    part = st.lists(group, max_size=8).map(":".join)
    tail = st.sampled_from(["", "", "", ":1.2.3.4", ":1.2.3.256", ":", "%1"])
    return st.builds(lambda parts, end: "::".join(parts) + end, st.lists(part, min_size=1, max_size=3), tail)


def octets() -> st.SearchStrategy[str]:
    return st.lists(st.integers(0, 300).map(str) | st.sampled_from(["00", "01", ""]), min_size=3, max_size=5).map(
        ".".join
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    addresses=st.lists(
        groups()
        | octets()
        | st.ip_addresses().map(str)
        | st.ip_addresses(v=6).map(lambda a: ipaddress.IPv6Address(a).exploded.upper()),
        min_size=1,
        max_size=60,
    )
)
def test_against_the_standard_library(engine: Engine, addresses: list[str]) -> None:
    assert networks(engine, list(addresses)) == [network(a) for a in addresses]
