"""Client addresses of made-up traffic: never those of a real log. Documentation and private networks only."""

from __future__ import annotations

import pyarrow as pa

ATTACKERS = 40
ATTACKERS_NETWORK = "203.0.113.0/24"
_SIX_EVERY = 25


def population(count: int, networks: int) -> pa.StringArray:
    """`count` addresses in order of how often they come, spread over `networks` networks in turn; every 25th is IPv6."""
    return pa.array([_address(rank, networks) for rank in range(count)], pa.string())


def _address(rank: int, networks: int) -> str:
    network, host = rank % networks, rank // networks
    if rank % _SIX_EVERY == 0:
        return f"2001:db8:{network:x}::{host + 1:x}"
    # A network with more than 250 hosts goes on in another half of 10.0.0.0/8.
    wide = network + networks * (host // 250)
    return f"10.{(wide >> 8) % 256}.{wide % 256}.{host % 250 + 1}"


def attackers() -> pa.StringArray:
    return pa.array([f"203.0.113.{h + 10}" for h in range(ATTACKERS)], pa.string())
