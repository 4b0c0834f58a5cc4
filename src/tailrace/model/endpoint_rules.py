"""Rules that make one endpoint of many paths: `/users/17/orders/4` becomes `/users/{id}/orders/{id}`.

Read by `config`, applied at decode by `formats.endpoints`.
"""

from __future__ import annotations

from dataclasses import dataclass

BUILTIN = ("numbers", "uuids", "hex")
"""Kinds of segments that become `{number}`, `{uuid}` and `{hex}` wherever they stand."""


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """Either `match` and `template`: a path that fits as a whole becomes the template; `*` in `match` stands for one or more
    characters but `/`, `**` for any. Or `builtin`: names of BUILTIN, for each segment by itself."""

    match: str = ""
    template: str = ""
    builtin: tuple[str, ...] = ()
