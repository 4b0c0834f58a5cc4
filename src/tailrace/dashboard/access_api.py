"""`/v1/login`, `/v1/logout`, `/v1/session`, `/v1/password`, `/v1/users`, `/v1/keys`, `/v1/sessions`, `/v1/audit`."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.access import audit
from tailrace.access.directory import Directory
from tailrace.access.login import Login
from tailrace.access.manage import Manager
from tailrace.access.model import AuditRow
from tailrace.access.principal import USER, Asker
from tailrace.access.shown import configured_json, key_json, session_json, user_json
from tailrace.access.store import AccessStore
from tailrace.dashboard.access import asker
from tailrace.dashboard.encode import json_response, known_parameters, limit_of
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, TooOften, Unauthorized
from tailrace.model.scopes import ADMIN, parse_grants
from tailrace.model.window import duration_us

BODY_BYTES_MAX = 16_384
HASHED_AT_ONCE, WAITING_MAX = 2, 16
"""Each password that is checked takes 64 MiB for as long as it takes."""
AUDIT_SHOWN, AUDIT_MAX = 100, 10_000
T = TypeVar("T")


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    password: str


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    current: str
    new: str


class UserAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`password`: None: one is made, and shown in the answer."""

    name: str
    scopes: list[str]
    password: str | None = None


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """`new_password`: True: one is made, and shown in the answer."""

    scopes: list[str] | None = None
    password: str | None = None
    new_password: bool = False


class KeyAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`expires`: after so long, `90d`; None: never. `signs`: it signs requests of the Kinesis API too."""

    name: str
    scopes: list[str]
    expires: str | None = None
    signs: bool = False


class AccessDesk:
    """What the routes share. Made once a node."""

    def __init__(self, services: NodeServices) -> None:
        self.store = AccessStore(services.settings.access_path)
        self.directory = Directory(self.store, services.settings, services.clock)
        self.login = Login(self.directory, services.settings.access, services.clock)
        self._hashing = asyncio.Semaphore(HASHED_AT_ONCE)
        self._waiting = 0

    async def hashed(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        """`work`, which hashes a password, in a thread and in its turn. Raises TooOften if too many wait."""
        if self._waiting >= WAITING_MAX:
            raise TooOften("too many passwords are being checked", retry_after_s=2, hint="try again in a moment")
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._waiting -= 1


# -- log-in ------------------------------------------------------------------------------------------------------------


async def log_in(request: Request) -> Response:
    """200 and a cookie. 401 for a wrong name or password, 429 after too many."""
    known_parameters(request, ())
    given = await _body(request, Credentials)
    who, desk = asker(request), _desk(request)
    if not desk.directory.login_required():
        raise Conflict("this node wants no log-in", hint="make a user first: tailrace users add NAME --admin")
    desk.login.begin(given.name, who.address)
    agent = request.headers.get("user-agent", "")
    done = await desk.hashed(desk.login.verify, given.name, given.password, who.address, agent)
    desk.login.forgive(given.name, who.address)
    found = desk.directory.by_token(done.token)
    if found is None:
        raise Unauthorized("the user was removed meanwhile", hint="ask who administers the node")
    if who.principal is not None and who.principal.session:
        await asyncio.to_thread(_ended, desk.store, who.principal.session)  # the new one takes its place
    response = json_response(_session(Asker(found.principal, who.address, who.secure, who.cookie, True)))
    _set_cookie(response, who, done.token, _services(request).settings.access.session_s)
    return response


async def log_out(request: Request) -> Response:
    """Ends the session of the cookie, if there is one."""
    known_parameters(request, ())
    who, desk = asker(request), _desk(request)
    ended = False
    if who.principal is not None and who.principal.session:
        ended = await asyncio.to_thread(_ended, desk.store, who.principal.session)
        row = AuditRow(
            at_us=_services(request).clock.now_us(), actor=who.principal.title, address=who.address, action="logout"
        )
        await asyncio.to_thread(audit.note, desk.store, row)
    response = json_response({"ended": ended})
    _set_cookie(response, who, "", 0)
    return response


def _ended(store: AccessStore, session_id: str) -> bool:
    """False if it had ended already."""
    try:
        store.end_session(session_id)
    except NotFound:
        return False
    return True


async def show_session(request: Request) -> Response:
    """Who asks, what he may do, and whether this node wants a log-in."""
    known_parameters(request, ())
    return json_response(_session(asker(request)))


async def change_password(request: Request) -> Response:
    """Of the user who asks; it ends his other sessions."""
    known_parameters(request, ())
    given = await _body(request, NewPassword)
    who, desk = asker(request), _desk(request)
    if who.principal is None or who.principal.kind != USER:
        raise Invalid("only a user has a password", hint="a key is revoked, and another one made")
    name = who.principal.name
    desk.login.begin(name, who.address)
    if not await desk.hashed(desk.login.is_users, name, given.current):
        raise Forbidden("the current password is wrong", hint="whoever administers the node can set a new one")
    desk.login.forgive(name, who.address)
    _, ended = await desk.hashed(_manager(request).set_password, name, given.new, who.principal.session)
    return json_response({"name": name, "sessions_ended": ended})


def _session(who: Asker) -> dict[str, Any]:
    principal = who.principal
    return {
        "login_required": who.login_required,
        "kind": principal.kind if principal else None,
        "name": principal.name if principal else None,
        "scopes": who.grants.texts(),
        "by_session": bool(principal and principal.session),
    }


def _set_cookie(response: Response, who: Asker, token: str, max_age_s: int) -> None:
    response.set_cookie(
        who.cookie or "tailrace",
        token,
        max_age=max_age_s,
        path="/",
        secure=who.secure,
        httponly=True,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"


# -- users -------------------------------------------------------------------------------------------------------------


async def list_users(request: Request) -> Response:
    known_parameters(request, ())
    store = _desk(request).store

    def answer() -> dict[str, Any]:
        sessions = store.sessions()
        return {"users": [user_json(user, sessions) for user in store.users()]}

    return json_response(await asyncio.to_thread(answer))


async def add_user(request: Request) -> Response:
    known_parameters(request, ())
    given = await _body(request, UserAsked)
    if _is_open(request) and not parse_grants(given.scopes).whole(ADMIN):
        raise Conflict(
            "the first user must be one who may administer the node",
            hint="give the scope `admin` too: from then on everybody has to log in",
        )
    made = await _desk(request).hashed(_manager(request).add_user, given.name, given.scopes, given.password)
    return _once({**user_json(made.user), "password": made.password or None}, 201)


async def change_user(request: Request) -> Response:
    """New scopes, or a new password, which ends the user's sessions."""
    known_parameters(request, ())
    given = await _body(request, UserChange)
    name, manager = request.path_params["name"], _manager(request)
    if (given.scopes is not None) == (given.password is not None or given.new_password):
        raise Invalid(
            "one thing is changed at a time",
            hint='send {"scopes": ["query"]}, or {"new_password": true}, or {"password": "..."}',
        )
    made = ""
    if given.scopes is not None:
        await asyncio.to_thread(manager.set_scopes, name, given.scopes)
    if given.password is not None or given.new_password:
        made, _ = await _desk(request).hashed(manager.set_password, name, given.password)
    user = await asyncio.to_thread(_desk(request).store.user, name)
    if user is None:
        raise NotFound(f"there is no user `{name}`", hint="see /v1/users")
    return _once({**user_json(user), "password": made or None})


async def remove_user(request: Request) -> Response:
    known_parameters(request, ())
    name = request.path_params["name"]
    await asyncio.to_thread(_manager(request).remove_user, name)
    return json_response({"name": name, "removed": True})


# -- keys --------------------------------------------------------------------------------------------------------------


async def list_keys(request: Request) -> Response:
    known_parameters(request, ())
    kept = await asyncio.to_thread(_desk(request).store.keys)
    configured = _services(request).settings.keys
    return json_response({"keys": [*map(key_json, kept), *map(configured_json, configured)]})


async def add_key(request: Request) -> Response:
    """201 with the secret, which is shown this once."""
    known_parameters(request, ())
    given = await _body(request, KeyAsked)
    if _is_open(request):
        raise Conflict(
            "without a user, a first key would shut everybody out of this page",
            hint="make a user with the scope `admin` first, or the key by command: tailrace keys add",
        )
    expires_s = 0 if given.expires is None else duration_us(given.expires) // 1_000_000
    if given.expires is not None and expires_s < 1:
        raise Invalid("a key must last for a second at least", hint="such as 90d, or leave `expires` out")
    made = await asyncio.to_thread(_manager(request).add_key, given.name, given.scopes, expires_s, signs=given.signs)
    return _once({**key_json(made.key), "secret": made.secret}, 201)


async def revoke_key(request: Request) -> Response:
    known_parameters(request, ())
    key_id = request.path_params["id"]
    if any(key.id == key_id for key in _services(request).settings.keys):
        raise Conflict(f"key `{key_id}` is one of tailrace.toml", hint="take it out there, and start the node again")
    await asyncio.to_thread(_manager(request).revoke_key, key_id)
    return json_response({"id": key_id, "revoked": True})


# -- sessions and the audit --------------------------------------------------------------------------------------------


async def list_sessions(request: Request) -> Response:
    known_parameters(request, ())
    who, desk = asker(request), _desk(request)
    own = who.principal.session if who.principal else ""
    found = await asyncio.to_thread(desk.store.sessions)
    services = _services(request)
    now_us, idle_us = services.clock.now_us(), services.settings.access.session_idle_s * 1_000_000
    live = [each for each in found if now_us < min(each.expires_us, each.seen_us + idle_us)]
    return json_response({"sessions": [session_json(each, own) for each in live]})


async def end_session(request: Request) -> Response:
    known_parameters(request, ())
    session_id = request.path_params["id"]
    await asyncio.to_thread(_manager(request).end_session, session_id)
    return json_response({"id": session_id, "ended": True})


async def list_audit(request: Request) -> Response:
    """`limit`: 1 to 10000, the newest first."""
    params = known_parameters(request, {"limit"})
    limit = limit_of(params, 1, AUDIT_MAX, AUDIT_SHOWN)
    found = await asyncio.to_thread(_desk(request).store.audit, limit)
    return json_response({"entries": [audit.shown(row) for row in found]})


# -- shared ------------------------------------------------------------------------------------------------------------


def _services(request: Request) -> NodeServices:
    services: NodeServices = request.app.state.services
    return services


def _desk(request: Request) -> AccessDesk:
    desk: AccessDesk = request.app.state.access
    return desk


def _is_open(request: Request) -> bool:
    """Whether everybody is let in now."""
    return not _desk(request).directory.login_required()


def _manager(request: Request) -> Manager:
    who = asker(request)
    actor = who.principal.title if who.principal else "nobody"
    return Manager(_desk(request).store, _services(request).clock, actor, who.address)


def _once(value: dict[str, Any], status: int = 200) -> Response:
    """An answer that may hold a secret: nobody keeps it."""
    response = json_response(value, status)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _body(request: Request, kind: type[T]) -> T:
    """Raises Invalid without the text that was sent: it may be a password."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"the body has more than `{BODY_BYTES_MAX:,}` bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body cannot be read: {_plain(error)}", hint="send JSON: see /openapi.json") from error


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
