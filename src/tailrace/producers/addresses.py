"""Client addresses of the traffic model: a fixed population that visits unevenly. Documentation and private networks only."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

NETWORKS = 48
PER_NETWORK = 60
SIX = 120
ATTACKERS = 40


def population() -> pa.StringArray:
    """Addresses in order of how often they come: mostly IPv4, every 25th IPv6."""
    four = [f"10.{20 + n // 16}.{n % 16 * 15 + 3}.{h + 1}" for h in range(PER_NETWORK) for n in range(NETWORKS)]
    six = [f"2001:db8:{n % 12:x}::{n + 1:x}" for n in range(SIX)]
    step = len(four) // SIX
    mixed = [address for n in range(SIX) for address in (six[n], *four[n * step : (n + 1) * step])]
    return pa.array(mixed, pa.string())


def attackers() -> pa.StringArray:
    return pa.array([f"203.0.113.{h + 10}" for h in range(ATTACKERS)], pa.string())


def visits(
    uniform: np.ndarray[tuple[int], np.dtype[np.float64]], size: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indexes into a population of `size`; the first ones come most often (density falls as 1/sqrt)."""
    return (uniform * uniform * size).astype(np.int64)
