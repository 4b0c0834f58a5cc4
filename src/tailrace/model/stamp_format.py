"""How an instant is written, in the letters of `strptime`: checked when settings are read, compiled into a regular expression.

%Y %y %m %d %e %b %B  date      %H %I %p %M %S %f  time of day (%f: any number of digits, cut to microseconds)
%z %Z  zone (+0200, +02:00, Z; UTC, GMT)      %s  seconds since 1970      %a %A  day of the week, not looked at
%F %D %T %R  %Y-%m-%d, %m/%d/%y, %H:%M:%S, %H:%M      %%  itself. A blank stands for one or more.
"""

from __future__ import annotations

import re
from functools import lru_cache

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_ALIASES = {"F": "%Y-%m-%d", "D": "%m/%d/%y", "T": "%H:%M:%S", "R": "%H:%M", "h": "%b"}
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<M>\d\d?)",
    "d": r"(?P<D>\d\d?)",
    "e": r" ?(?P<D>\d\d?)",
    "b": f"(?P<Mon>{'|'.join(name[:3] for name in MONTHS)})",
    "B": f"(?P<Mon>{'|'.join(MONTHS)})",
    "H": r"(?P<h>\d\d?)",
    "I": r"(?P<h>0?[1-9]|1[0-2])(?P<twelve>)",
    "p": r"(?P<p>[AaPp])[Mm]",
    "M": r"(?P<m>\d\d?)",
    "S": r"(?P<s>\d\d?)",
    "f": r"(?P<f>\d+)",
    "z": r"(?P<zone>Z|z|(?P<sign>[+-])(?P<zh>\d\d)(?::?(?P<zm>\d\d))?)",
    "Z": r"(?P<zone>UTC|GMT|Z)",
    "s": r"(?P<epoch>\d{1,11})",
    "a": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "A": r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
    "%": "%",
}
_PIECE = re.compile(r"%(.?)|(\s+)|([^%\s]+)", re.DOTALL)


@lru_cache(maxsize=64)
def compiled(written: str) -> re.Pattern[bytes]:
    """Groups Y y M D Mon h m s f p twelve zone sign zh zm epoch, as far as there are. Raises ValueError for what names no instant."""
    expanded = written
    for letter, meaning in _ALIASES.items():
        expanded = re.sub(rf"(?<!%)((?:%%)*)%{letter}", rf"\g<1>{meaning}", expanded)
    text = "".join(_piece(found) for found in _PIECE.finditer(expanded))
    try:
        pattern = re.compile(text.encode(), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"`{written}` names the same part twice") from error
    have = pattern.groupindex.keys()
    if "epoch" not in have and not ({"Y", "y"} & have and {"M", "Mon"} & have and "D" in have):
        raise ValueError(f"`{written}` does not name a day: it needs a year (%Y), a month and a day")
    if ("twelve" in have) != ("p" in have):
        raise ValueError(f"`{written}`: %I and %p go together")
    return pattern


def _piece(found: re.Match[str]) -> str:
    letter, blanks, literal = found.groups()
    if blanks is not None:
        return r"\s+"
    if literal is not None:
        return re.escape(literal)
    if letter not in _DIRECTIVES:
        known = " ".join(f"%{each}" for each in (*_DIRECTIVES, *_ALIASES))
        raise ValueError(f"`%{letter}` is not known: use {known}")
    return _DIRECTIVES[letter]
