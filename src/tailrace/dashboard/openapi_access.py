"""The part of the OpenAPI document about log-in, users, keys, sessions and the audit."""

from __future__ import annotations

from typing import Any

from tailrace.access.passwords import PASSWORD_CHARS_MIN
from tailrace.dashboard.openapi_parts import as_json, body_of, operation, parameter
from tailrace.dashboard.openapi_schemas import COUNT, INSTANT, TEXT, TRUTH, Schema, listed, maybe, named, record

_SCOPE: Schema = {
    "type": "string",
    "description": "ingest, query or admin; of one stream: query:errors",
    "examples": ["query", "query:errors"],
}
_SECRET: Schema = {"type": "string", "description": "shown this once"}
_PASSWORD: Schema = {"type": "string", "minLength": PASSWORD_CHARS_MIN}
_CLOSED: Schema = {"additionalProperties": False}
_USER: dict[str, Schema] = {
    "name": TEXT,
    "scopes": listed(_SCOPE),
    "created": INSTANT,
    "changed": INSTANT,
    "sessions": COUNT,
    "seen": maybe(INSTANT),
}
_KEY: dict[str, Schema] = {
    "id": TEXT,
    "name": {"type": "string", "description": "what it is for"},
    "scopes": listed(_SCOPE),
    "created": maybe(INSTANT),
    "created_by": TEXT,
    "expires": maybe(INSTANT),
    "used": maybe(INSTANT),
    "signs": {"type": "boolean", "description": "it signs requests of the Kinesis API"},
    "source": {
        "enum": ["made", "settings"],
        "description": "settings: it stands in tailrace.toml, and is revoked there",
    },
}
ACCESS_SCHEMAS: dict[str, Schema] = {
    "Session": record(
        login_required=TRUTH,
        kind=maybe({"type": "string", "description": "user, key, or anyone where no log-in is needed"}),
        name=maybe(TEXT),
        scopes=listed(_SCOPE),
        by_session={"type": "boolean", "description": "by a cookie, which can be logged out"},
    ),
    "User": record(**_USER),
    "NewUser": record(**_USER, password=maybe(_SECRET)),
    "Key": record(**_KEY),
    "NewKey": record(**_KEY, secret=_SECRET),
    "OpenSession": record(
        id=TEXT,
        kind={"enum": ["user", "key"]},
        name=TEXT,
        created=INSTANT,
        seen=INSTANT,
        expires=INSTANT,
        address=TEXT,
        agent=TEXT,
        own={"type": "boolean", "description": "it is the one that asks"},
    ),
    "AuditEntry": record(at=INSTANT, actor=TEXT, address=TEXT, action=TEXT, target=TEXT, outcome=TEXT, detail=TEXT),
    "Credentials": record(name=TEXT, password=TEXT) | _CLOSED,
    "NewPassword": record(current=TEXT, new=_PASSWORD) | _CLOSED,
    "UserAsked": record({"password": maybe(_PASSWORD)}, name=TEXT, scopes=listed(_SCOPE)) | _CLOSED,
    "UserChange": {
        "type": "object",
        "properties": {
            "scopes": maybe(listed(_SCOPE)),
            "password": maybe(_PASSWORD),
            "new_password": {"type": "boolean", "description": "one is made, and shown in the answer"},
        },
        "description": "new scopes, or a new password",
    }
    | _CLOSED,
    "KeyAsked": record(
        {"expires": maybe({"type": "string", "description": "after so long, such as 90d"}), "signs": TRUTH},
        name=TEXT,
        scopes=listed(_SCOPE),
    )
    | _CLOSED,
}


def access_paths() -> dict[str, Any]:
    user, key = parameter("name", "path", "of the user"), parameter("id", "path", "of the key, as listed")
    session = parameter("id", "path", "of the session, as listed")
    limit = parameter("limit", "query", "entries at most", {"type": "integer", "minimum": 1, "maximum": 10_000})
    return _login_paths() | {
        "/v1/users": {
            "get": operation("List the users", answer=as_json(record(users=listed(named("User"))))),
            "post": operation(
                "Make a user; without a password one is made, and shown this once",
                answer=as_json(named("NewUser")),
                errors=("409", "413", "429"),
                status="201",
                body=_body("UserAsked"),
            ),
        },
        "/v1/users/{name}": {
            "patch": operation(
                "Give a user new scopes, or a new password, which ends the user's sessions",
                [user],
                as_json(named("NewUser")),
                ("404", "409", "413", "429"),
                body=_body("UserChange"),
            ),
            "delete": operation(
                "Remove a user and end the sessions; the last one who may administer the node stays",
                [user],
                as_json(record(name=TEXT, removed=TRUTH)),
                ("404", "409"),
            ),
        },
        "/v1/keys": {
            "get": operation("List the keys, newest first", answer=as_json(record(keys=listed(named("Key"))))),
            "post": operation(
                "Make a key; its secret is shown this once",
                answer=as_json(named("NewKey")),
                errors=("409", "413"),
                status="201",
                body=_body("KeyAsked"),
            ),
        },
        "/v1/keys/{id}": {
            "delete": operation(
                "Revoke a key: within a second nothing takes it any more",
                [key],
                as_json(record(id=TEXT, revoked=TRUTH)),
                ("404", "409"),
            )
        },
        "/v1/sessions": {
            "get": operation(
                "List the sessions, last used first", answer=as_json(record(sessions=listed(named("OpenSession"))))
            )
        },
        "/v1/sessions/{id}": {
            "delete": operation("End a session", [session], as_json(record(id=TEXT, ended=TRUTH)), ("404",))
        },
        "/v1/audit": {
            "get": operation(
                "Who did what, newest first", [limit], as_json(record(entries=listed(named("AuditEntry"))))
            )
        },
    }


def _login_paths() -> dict[str, Any]:
    return {
        "/v1/login": {
            "post": operation(
                "Log in: answers with a cookie for browsers; the id of a key and its secret do too",
                answer=as_json(named("Session")),
                errors=("409", "413", "429"),
                body=_body("Credentials"),
            )
        },
        "/v1/logout": {"post": operation("End the session of the cookie", answer=as_json(record(ended=TRUTH)))},
        "/v1/session": {
            "get": operation(
                "Who asks, with which scopes, and whether this node wants a log-in", answer=as_json(named("Session"))
            )
        },
        "/v1/password": {
            "post": operation(
                "Change the password of the user who asks; it ends his other sessions",
                answer=as_json(record(name=TEXT, sessions_ended=COUNT)),
                errors=("404", "413", "429"),
                body=_body("NewPassword"),
            )
        },
    }


def _body(name: str) -> dict[str, Any]:
    return body_of(named(name), required=True)
