"""The query process: users' SQL over `logs` and the views, and views as they stood at a position.

On a unix socket that the node passes requests on to.
"""

from __future__ import annotations

from tailrace.batch.lake.reader import IcebergReader
from tailrace.pipeline.patience import patiently
from tailrace.pipeline.role import RoleArguments
from tailrace.pipeline.sockets import NODE, QUERY, socket_path
from tailrace.pipeline.view_relations import NodeViews
from tailrace.pipeline.web import serve
from tailrace.runtime.clock import SystemClock
from tailrace.serving.past.app import past_routes
from tailrace.serving.past.read import PastViews
from tailrace.serving.search.app import search_routes
from tailrace.serving.search.ground import Searcher
from tailrace.serving.sql.app import create_query_app
from tailrace.serving.sql.limits import bound_memory
from tailrace.states.manifest import ManifestStore
from tailrace.stream.backends.embedded import open_embedded


def run(arguments: RoleArguments) -> None:
    settings, lifeline = arguments.settings, arguments.lifeline
    clock = SystemClock()
    # Opened to write only because it may be first on a new data folder, and has to create the stream.
    stream = patiently(
        lambda: open_embedded(settings.stream_dir, settings.stream, settings.fields, clock), lifeline.stop
    )
    if stream is None:
        return
    lake = IcebergReader(settings.lake_dir)
    views = NodeViews(socket_path(settings.run_dir, NODE))
    store = patiently(lambda: ManifestStore(settings.manifest_path), lifeline.stop)
    if store is None:
        return
    past = PastViews(stream, lake, store, settings.states_dir, settings.fields, settings.query)
    app = create_query_app(stream, lake, settings, views, clock, past_routes(past))
    app.router.routes += search_routes(Searcher(app.state.engine, stream, settings))
    bound_memory(settings.query)
    try:
        serve(app, socket_path(settings.run_dir, QUERY), lifeline.stop, lifeline.ready)
    finally:
        views.close()
        lake.close()
        stream.close()
