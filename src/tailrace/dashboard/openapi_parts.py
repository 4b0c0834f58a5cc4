"""What the parts of the OpenAPI document are made of: operations, parameters, bodies, and the errors that they share."""

from __future__ import annotations

from typing import Any

from tailrace.dashboard.openapi_schemas import TEXT, Schema, named

BINARY: Schema = {"type": "string", "format": "binary"}
EVERYWHERE = {
    "400": "it cannot be understood; see the hint",
    "401": "nobody has logged in and no key is shown, and this node wants one",
    "403": "the scope is missing; or it comes from a page of another site, or asks by a name that is not this node's",
    "503": "ask again after `Retry-After` seconds",
}
SAID = {
    "404": "there is no such thing",
    "408": "it took too long",
    "409": "somebody else was first",
    "410": "records that are needed have been let go",
    "413": "it is too large",
    "500": "what is stored is damaged",
    "429": "a queue or the disk is full, or it was asked too often: send again after `Retry-After` seconds",
}


def parameter(name: str, where: str, text: str, schema: Schema | None = None) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": schema or TEXT}


def whole(least: int, most: int, default: int | None = None) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most} | ({} if default is None else {"default": default})


def operation(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    answer: dict[str, Schema] | None = None,
    errors: tuple[str, ...] = (),
    status: str = "200",
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`answer`: by media type. `errors`: besides those that everything may answer."""
    content = {
        media: {"schema": schema} for media, schema in (answer or {"application/json": {"type": "object"}}).items()
    }
    said = EVERYWHERE | {code: SAID[code] for code in errors}
    responses: dict[str, Any] = {status: {"description": "done", "content": content}}
    for code, text in sorted(said.items()):
        responses[code] = {"description": text, "content": {"application/json": {"schema": named("Error")}}}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def body_of(schema: Schema, *, required: bool, **others: Schema) -> dict[str, Any]:
    """JSON, or what else may be sent, by media type."""
    media = {"application/json": schema} | {
        name.replace("_", "/", 1).replace("_", "-"): s for name, s in others.items()
    }
    return {"required": required, "content": {name: {"schema": s} for name, s in media.items()}}


def as_json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": schema}
