"""`network(ip)`: the /24 of an IPv4 address, the /48 of an IPv6 address, NULL for anything else.

`203.0.113.9` -> `203.0.113.0/24`; `2001:DB8:1::9` -> `2001:db8:1::/48`, written as RFC 5952 says. An IPv4 address inside an IPv6
one, such as `::ffff:203.0.113.9`, is the IPv4 address (RFC 4291, 2.5.5.2). Octets have no leading zeros; an address has no zone.
"""

from __future__ import annotations

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = f"(?:{_OCTET}[.]){{3}}{_OCTET}"
_H = "[0-9a-f]{1,4}"

_ALL_GROUPS = f"(?:{_H}:){{6}}(?:{_H}:{_H}|{_V4})"
_WITH_GAP = f"(?:{_H}(?::{_H})*)?::(?:(?:{_H}:)*(?:{_H}|{_V4}))?"
"""Eight groups, the last two perhaps dotted; or fewer around one `::`, whose number is checked apart."""


def network_sql(address: str) -> str:
    """SQL for the network of the text that the SQL `address` gives; `address` is best a plain column, as it is repeated."""
    v4 = f"nullif(regexp_extract({address}, '^(?:::[fF]{{4}}:)?((?:{_OCTET}[.]){{3}}){_OCTET}$', 1), '') || '0/24'"
    return f"coalesce({v4}, CASE WHEN contains({address}, ':') THEN {_v6(f'lower({address})')} END)"


def _v6(address: str) -> str:
    with_gap = f"regexp_full_match({address}, '{_WITH_GAP}') AND {_missing_groups(address)} >= 1"
    valid = f"(regexp_full_match({address}, '{_ALL_GROUPS}') OR ({with_gap}))"
    mapped = f"WHEN regexp_full_match({address}, '[0:]*:ffff:(?:{_V4}|{_H}:{_H})') THEN {_v4_inside(address)}"
    return f"CASE WHEN NOT {valid} THEN NULL {mapped} ELSE {_first_three_groups(address)} || '::/48' END"


def _v4_inside(address: str) -> str:
    """The /24 of a mapped address, dotted or in two groups: its first three octets are the last group but one and half the last."""
    octets = "".join(
        f" || (TRY_CAST('0x' || split_part({address}, ':', {group}) AS INTEGER) // {unit}) % 256 || '.'"
        for group, unit in ((-2, 256), (-2, 1), (-1, 256))
    )
    dotted = f"regexp_extract({address}, ':((?:{_OCTET}[.]){{3}}){_OCTET}$', 1)"
    return f"coalesce(nullif({dotted}, ''), ''{octets}) || '0/24'"


def _missing_groups(address: str) -> str:
    """How many groups `::` stands for: at an edge it has one colon too many, and a dotted tail is two groups."""
    colons = f"length({address}) - length(replace({address}, ':', ''))"
    dotted = f"CAST(contains({address}, '.') AS INTEGER)"
    edge = f"CAST(starts_with({address}, '::') OR ends_with({address}, '::') AS INTEGER)"
    return f"(8 - ({colons}) - {dotted} + {edge})"


def _first_three_groups(address: str) -> str:
    """Without leading zeros, and without zero groups at the end."""
    groups = f"replace({address}, '::', ':' || repeat('0:', {_missing_groups(address)}))"
    first_three = f"regexp_extract({groups}, '^:?({_H}:{_H}:{_H})', 1)"
    short = f"regexp_replace(':' || {first_three}, ':0+([0-9a-f])', ':\\1', 'g')"
    return f"substr(regexp_replace({short}, '(:0)+$', ''), 2)"
