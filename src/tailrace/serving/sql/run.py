"""One statement of one request: worked on in a thread, waited for on the event loop, stopped when time is up or nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from tailrace.errors import Invalid
from tailrace.runtime.client_gone import disconnected
from tailrace.serving.sql.answer import Format, JsonRows, StreamWriter
from tailrace.serving.sql.engine import Execution

_STOP_AGAIN_S = 0.1
"""An interrupt that comes between two steps of the engine is lost, so it is repeated until the thread has come back."""

T = TypeVar("T")


class Stoppable(Protocol):
    """What a request has running in another thread."""

    def stop(self, *, timed_out: bool = False) -> None:
        """Make it end soon with an error; from any thread, again and again."""
        ...

    def close(self) -> None: ...


class Watched:
    """`deadline_s`: on the event loop's clock. Used by one request's task, step after step, once its body has been read."""

    def __init__(self, request: Request, work: Stoppable, workers: Executor, deadline_s: float) -> None:
        self._stoppable = work
        self._workers = workers
        self._deadline_s = deadline_s
        self._gone = asyncio.ensure_future(disconnected(request.receive))
        self._work: asyncio.Future[Any] | None = None

    async def close(self) -> None:
        """Stops what still runs. The thread is waited for: the connection is not closed under it."""
        self._gone.cancel()
        if self._work is not None and not self._work.done():
            await self._stopped(self._work, timed_out=False)
        await asyncio.get_running_loop().run_in_executor(self._workers, self._stoppable.close)

    async def wait(self, work: Callable[[], T]) -> T:
        """What `work` returns in a thread. It is stopped when time is up or the client has gone."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._workers, work)
        self._work = future
        left_s = max(0.0, self._deadline_s - loop.time())
        waited: set[asyncio.Future[Any]] = {future, self._gone}
        await asyncio.wait(waited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            await self._stopped(future, timed_out=not self._gone.done())
        return await future

    async def _stopped(self, future: asyncio.Future[T], *, timed_out: bool) -> None:
        while not future.done():
            self._stoppable.stop(timed_out=timed_out)
            await asyncio.wait({future}, timeout=_STOP_AGAIN_S)


class Run(Watched):
    """One statement."""

    def __init__(self, request: Request, execution: Execution, workers: Executor, deadline_s: float) -> None:
        super().__init__(request, execution, workers, deadline_s)
        self._execution = execution

    async def prepare(self, sql: str) -> None:
        await self.wait(lambda: self._execution.prepare(sql))

    async def json_document(self, rows_max: int, elapsed_ms: Callable[[], float]) -> bytes:
        return await self.wait(lambda: _document(self._execution, rows_max, elapsed_ms))

    async def chunks(self, form: Format) -> AsyncIterator[bytes]:
        """The answer's bytes as they come; the first before any row has been asked for may be empty."""
        writer = await self.wait(lambda: _writer(form, self._execution))
        while (chunk := await self.wait(lambda: _next_chunk(self._execution, writer))) is not None:
            yield chunk
        yield await self.wait(writer.end)


def _document(execution: Execution, rows_max: int, elapsed_ms: Callable[[], float]) -> bytes:
    rows = JsonRows(rows_max)
    for batch in execution.batches():
        if not rows.add(batch):
            break
    return rows.document(execution.columns, execution.rows_scanned, elapsed_ms())


def _writer(form: Format, execution: Execution) -> StreamWriter:
    try:
        return StreamWriter(form, execution.schema)
    except NotImplementedError as error:
        raise Invalid(f"{form.value} cannot hold this answer: {error}", hint="cast the column to VARCHAR") from error


def _next_chunk(execution: Execution, writer: StreamWriter) -> bytes | None:
    batch = execution.next_batch()
    return None if batch is None else writer.add(batch)
