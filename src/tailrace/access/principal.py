"""Who asks, as the door found out, and how it tells the node behind it.

The door takes the header off every request that comes in from outside. The node listens on a socket that only its owner can open.
"""

from __future__ import annotations

import msgspec

from tailrace.model.scopes import ALL, Grants

HEADER = "tailrace-asker"
USER, KEY, ANYONE = "user", "key", "anyone"


class Principal(msgspec.Struct, frozen=True):
    """`kind`: user, key, or anyone where no log-in is needed. `name`: of the user, id of the key. `pairs`: as in Grants.

    `session`: public id of the session that it came with; empty for a key that came by itself.
    """

    kind: str
    name: str
    pairs: tuple[tuple[str, str], ...]
    session: str = ""

    @property
    def grants(self) -> Grants:
        return Grants(self.pairs)

    @property
    def title(self) -> str:
        """As logs name it."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


class Asker(msgspec.Struct, frozen=True):
    """`principal`: None for who has not said who he is, at a route that is open. `address`: of the client. `secure`: it came over TLS.

    `cookie`: the name of the session's cookie at this address. `login_required`: whether this node lets in those who are known alone.
    """

    principal: Principal | None = None
    address: str = ""
    secure: bool = False
    cookie: str = ""
    login_required: bool = False

    @property
    def grants(self) -> Grants:
        return self.principal.grants if self.principal else Grants()


OPEN_HOUSE = Principal(ANYONE, "", ALL.pairs)
"""Everybody, where no log-in is needed."""
INSIDE = Asker(OPEN_HOUSE)
"""Another process of this node: it has no header."""


def to_header(asker: Asker) -> bytes:
    return msgspec.json.encode(asker)


def of_header(text: str | None) -> Asker:
    """Raises msgspec.MsgspecError for what the door has not written."""
    return INSIDE if text is None else msgspec.json.decode(text, type=Asker)
