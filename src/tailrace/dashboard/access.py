"""Who asks, and which streams he may read: what the routes of the node use. The door has checked the scope already (`access/routes.py`)."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import HTTPConnection

from tailrace.access.principal import HEADER, Asker, of_header
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Forbidden
from tailrace.model.scopes import ADMIN, LOGS, QUERY, Grants
from tailrace.serving.catalog import CatalogState
from tailrace.serving.pin import Pinned


def asker(request: HTTPConnection) -> Asker:
    return of_header(request.headers.get(HEADER))


def grants_of(request: HTTPConnection) -> Grants:
    return asker(request).grants


def sources(catalog: CatalogState, stream: str) -> Iterable[str]:
    """A stream and all that it chooses from, up to `logs`."""
    name = stream.lower()
    while name != LOGS and name in catalog.streams:
        yield name
        name = catalog.streams[name].reads.lower()
    yield name


def may_read(grants: Grants, catalog: CatalogState, stream: str, scope: str = QUERY) -> bool:
    return grants.whole(scope) or grants.allows(scope, sources(catalog, stream))


def require_stream(services: NodeServices, grants: Grants, stream: str) -> None:
    """Raises Forbidden unless `grants` let read the records of the stream."""
    if not may_read(grants, services.follower.catalog.state, stream):
        raise _forbidden(f"stream `{stream}`", QUERY, grants)


def reads_of(catalog: CatalogState, name: str, version: str) -> str:
    """The stream that this version of a view reads. The file of the view says it; of a version that no file has any more, nobody knows
    more than that it reads `logs`."""
    view = catalog.views.get(name)
    return view.reads if view is not None and view.version == version else LOGS


def require_view(
    services: NodeServices, grants: Grants, name: str, scope: str = QUERY, pinned: Pinned | None = None
) -> None:
    """Raises Forbidden unless `grants` let read (or administer) the stream that the view, as it is served now, reads.

    `pinned`: what the answer stands on; None: that of now. Asked before a view is looked up: who may not read all streams is not told
    whether there is such a view.
    """
    if grants.whole(scope):
        return
    view = (pinned or services.pinned()).views.get(name)
    catalog = services.follower.catalog.state
    if view is None or not may_read(grants, catalog, reads_of(catalog, name, view.version), scope):
        raise _forbidden(f"view `{name}`", scope, grants)


def require_version(services: NodeServices, grants: Grants, name: str, version: str) -> None:
    """As `require_view`, of the version that is named."""
    if not may_read_version(services, grants, name, version):
        raise _forbidden(f"view `{name}`, version `{version}`", QUERY, grants)


def may_read_version(services: NodeServices, grants: Grants, name: str, version: str) -> bool:
    catalog = services.follower.catalog.state
    return may_read(grants, catalog, reads_of(catalog, name, version))


def require_both_versions(services: NodeServices, grants: Grants, name: str) -> None:
    """As `require_view`, of the version that answers now and of the one before."""
    require_view(services, grants, name)
    before = services.pinned().previous.get(name)
    if before is not None:
        require_version(services, grants, name, before.version)


def readable_views(grants: Grants, pinned: Pinned, catalog: CatalogState) -> set[str] | None:
    """Names of the views that may be read; None: all."""
    if grants.whole(QUERY):
        return None
    return {
        name for name, view in pinned.views.items() if may_read(grants, catalog, reads_of(catalog, name, view.version))
    }


def relations(services: NodeServices, grants: Grants) -> list[str] | None:
    """What SQL may name, in lower case: `logs`, streams, views; None: all that there is."""
    views = readable_views(grants, services.pinned(), services.follower.catalog.state)
    if views is None:
        return None
    catalog = services.follower.catalog.state
    streams = {name for name in (LOGS, *catalog.streams) if may_read(grants, catalog, name)}
    return sorted({name.lower() for name in views | streams})


def _forbidden(what: str, scope: str, grants: Grants) -> Forbidden:
    return Forbidden(
        f"{what} is not among what you may {'administer' if scope == ADMIN else 'read'}: {', '.join(grants.texts()) or 'nothing'}",
        hint="whoever administers the node can give the scope of its stream",
    )
