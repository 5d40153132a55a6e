"""One worker: client, APIs and HTTP server, from start to drain, and the event loop on which they run.

A worker has one pipeline in service: the client, and the dispatcher that passes requests to it. After a reload the
previous pipeline also exists until its last request has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from localagent import Client, LocalAgentError, Stats
from localagent.errors import Draining, StartError
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route, install
from localagent.runtime import Runtime
from localagent.supervision import report_failure
from localagent_gateway.apis.anthropic.api import AnthropicApi
from localagent_gateway.apis.dispatch import Dispatcher, with_added
from localagent_gateway.apis.local_pages import LocalPages
from localagent_gateway.apis.ollama.api import OllamaApi
from localagent_gateway.apis.openai.api import OpenAIApi
from localagent_gateway.apis.openapi import with_document
from localagent_gateway.apis.service import Service
from localagent_gateway.http.aiohttp_server import AiohttpServer
from localagent_gateway.http.body_reading import ReadBody
from localagent_gateway.http.origins import Origins
from localagent_gateway.keys.authentication import KeyHolder, authentication, keys_needed
from localagent_gateway.logs.access_log import AccessLog
from localagent_gateway.logs.log_writer import LogWriter, log_of
from localagent_gateway.settings import GatewaySettings
from localagent_gateway.status.health import health_routes
from localagent_gateway.status.worker_totals import WorkerTotals, own_samples

LOOK_SECONDS = 0.05  # between two checks whether a replaced pipeline is still in use
NOTICE_SECONDS = 1.0  # for clients to get the error when their requests are interrupted
log = logging.getLogger("localagent.gateway")


class ServingPipeline:
    """A pipeline in service.

    Args:
        client: The open client.
        runtime: Its running core.
        service: The common base of the APIs.
        dispatcher: Routes requests to the APIs.
    """

    def __init__(self, client: Client, runtime: Runtime, service: Service, dispatcher: Dispatcher) -> None:
        self.client = client
        self.runtime = runtime
        self.service = service
        self.dispatcher = dispatcher
        self._entered = 0

    async def handle(self, request: HttpRequest, read: ReadBody) -> HttpResponse | HttpStream:
        """Answer a request, and count it as in progress meanwhile; see ``Dispatcher.handle``."""
        self._entered += 1
        try:
            return await self.dispatcher.handle(request, read)
        finally:
            self._entered -= 1

    def refuse(self, error: LocalAgentError, request: HttpRequest, *, plain: bool = False) -> HttpResponse:
        """Return the answer of a request that failed outside its handler; see ``Dispatcher.refuse``."""
        return self.dispatcher.refuse(error, request, plain=plain)

    @property
    def used(self) -> bool:
        """Whether a request, a call or a stream is in progress."""
        return bool(self._entered or self.runtime.engine.calls or self.runtime.engine.streams)

    def interrupt(self) -> None:
        """End all calls and streams with the error that the server is closing."""
        for run in list(self.runtime.engine.streams):
            run.interrupt(_closing())
        for call in list(self.runtime.engine.calls):
            call.timer.end(_closing())

    async def finish(self, seconds: float) -> None:
        """Wait up to ``seconds`` for requests to end, and interrupt the rest."""
        if not await self._unused(seconds):
            self.interrupt()
            await self._unused(NOTICE_SECONDS)

    async def _unused(self, seconds: float) -> bool:
        until = self.runtime.services.loop.time() + seconds
        while self.used and self.runtime.services.loop.time() < until:  # noqa: ASYNC110 - only after a reload
            await asyncio.sleep(LOOK_SECONDS)
        return not self.used


def _closing() -> Draining:
    return Draining("The server is closing.", code="server_draining")


class Worker:
    """A running gateway.

    Args:
        pipeline: The pipeline in service.
        settings: The gateway's settings.
        server: The HTTP server.
        access_log: The log of requests.

    Attributes:
        pipeline: The pipeline in service; ``switch`` replaces it.
        settings: The gateway's settings.
        server: The HTTP server.
        access_log: The log of requests.
        gather: Returns the statistics of all workers; set by a worker that has a supervisor.
    """

    def __init__(
        self, pipeline: ServingPipeline, settings: GatewaySettings, server: AiohttpServer, access_log: AccessLog
    ) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self.server = server
        self.access_log = access_log
        self.gather: Callable[[], Awaitable[Stats]] | None = None
        self._retiring: dict[ServingPipeline, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._totals = WorkerTotals()
        pipeline.runtime.gather = self._gather_stats

    @property
    def client(self) -> Client:
        """The client of the pipeline in service."""
        return self.pipeline.client

    @property
    def service(self) -> Service:
        """The common base of the APIs."""
        return self.pipeline.service

    @property
    def pipelines(self) -> list[ServingPipeline]:
        """The pipeline in service, and the previous ones whose requests have not ended, newest first."""
        return [self.pipeline, *reversed(self._retiring)]

    def collect_stats(self) -> Stats:
        """Return what the cores, the plugins and the HTTP server of this worker report."""
        stats = self._totals.collect(pipeline.runtime for pipeline in self.pipelines)
        stats.merge(own_samples(self.server.connections, self.access_log))
        return stats

    async def _gather_stats(self) -> Stats:
        return self.collect_stats() if self.gather is None else await self.gather()

    async def switch(self, client: Client, settings: GatewaySettings) -> None:
        """Answer new requests with another client; the old one is closed when its last request has ended.

        The addresses, the log and ``header_timeout`` do not change.

        Args:
            client: The open client; the worker closes it.
            settings: The gateway's settings.
        """
        new = await _serving_pipeline(client, settings)
        old, self.pipeline, self.settings = self.pipeline, new, settings
        new.runtime.gather = self._gather_stats
        self.server.switch(new, settings, _origins(new, settings))
        task = asyncio.create_task(self._retire(old, settings.drain_timeout), name="retire a pipeline")
        self._retiring[old] = task
        task.add_done_callback(report_failure(log))

    async def _retire(self, pipeline: ServingPipeline, seconds: float) -> None:
        """Let the requests of a replaced pipeline end, keep its counts, and close its client."""
        try:
            await pipeline.finish(seconds)
        finally:
            newer = self.pipelines[: self.pipelines.index(pipeline)]
            self._totals.end(pipeline.runtime, [one.runtime for one in newer])
            task = self._retiring.pop(pipeline)
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            await pipeline.client.aclose()

    async def retired(self) -> None:
        """Wait until the replaced pipelines are closed."""
        await asyncio.gather(*self._retiring.values(), *self._closing, return_exceptions=True)

    async def drain(self, *, delay: bool = True, linger: bool = False) -> None:
        """Shut down gracefully: report that the worker is draining, let requests end, interrupt the rest, and close.

        Args:
            delay: Whether new connections are still accepted for ``drain_delay``.
            linger: Whether connections that clients keep stay open until their next request was answered, or until
                they were idle for ``header_timeout``. Another worker accepts new connections, so no client waits.
        """
        self.service.draining = self.server.draining = True
        if delay:
            await asyncio.sleep(self.settings.drain_delay)
        self.server.stop_listening()
        if linger and not await self.server.wait_unconnected(self.settings.drain_timeout):
            self._interrupt()
            await self.server.wait_unconnected(self.settings.header_timeout)
        if not await self.server.wait_idle(self.settings.drain_timeout):
            self._interrupt()
            await self.server.wait_idle(NOTICE_SECONDS)
        await self.server.aclose()
        self.access_log.flush()

    def _interrupt(self) -> None:
        for pipeline in self.pipelines:
            pipeline.interrupt()

    async def aclose(self) -> None:
        """Close the server and all clients, including those from ``switch``."""
        await self.server.aclose()
        self.access_log.flush()
        retiring = [*self._retiring.values(), *self._closing]
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        await self.client.aclose()


@contextlib.asynccontextmanager
async def running(
    client: Client, settings: GatewaySettings, sockets: list[Any], lines: LogWriter | None = None
) -> AsyncIterator[Worker]:
    """Serve on bound sockets until the context ends; call ``Worker.drain`` first for a graceful shutdown.

    Args:
        client: The open client; closed at the end.
        settings: The gateway's settings.
        sockets: The sockets to listen on.
        lines: The log for requests; by default standard error.
    """
    pipeline = await _serving_pipeline(client, settings)
    wall_time = pipeline.runtime.wall_time
    with log_of(settings.log_file, lines, wall_time) as log:
        access_log = AccessLog(settings.log, log.put, wall_time, settings.log_format)
        server = AiohttpServer(pipeline, settings, _origins(pipeline, settings), access_log)
        await server.listen(sockets)
        worker = Worker(pipeline, settings, server, access_log)
        try:
            yield worker
        finally:
            await worker.aclose()


async def _serving_pipeline(client: Client, settings: GatewaySettings) -> ServingPipeline:
    runtime = await client.runtime()
    service = Service(client, settings, runtime.wall_time)
    own = _routes(service)
    routes = with_document(with_added(own, runtime.pipeline))
    authenticate = await authentication(runtime, settings, _key_holder(runtime))
    dispatcher = Dispatcher(routes, authenticate, LocalPages(service, own))
    return ServingPipeline(client, runtime, service, dispatcher)


def _origins(pipeline: ServingPipeline, settings: GatewaySettings) -> Origins:
    return Origins(settings, functools.partial(keys_needed, _key_holder(pipeline.runtime)))


def _key_holder(runtime: Runtime) -> KeyHolder:
    return cast("KeyHolder", runtime.pipeline.plugins["gateway"])


def _routes(service: Service) -> list[Route]:
    apis = (OpenAIApi(service), OllamaApi(service), AnthropicApi(service))
    return [*health_routes(service), *(route for api in apis for route in api.routes())]


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the named event loop, for ``asyncio.Runner``; None for asyncio's own loop.

    Raises:
        StartError: uvloop is requested but not installed.
    """
    if name == "asyncio":
        return None
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        raise StartError("The event loop uvloop is not installed.",
                         hint=install("localagent-gateway", extra="uvloop")) from None  # fmt: skip
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def keep_for_good() -> None:
    """Exempt all objects that exist now from garbage collection.

    Modules, classes, settings and routes live as long as the process. Without this, each full collection under load
    visits all of them again. A process calls it once, when it is ready to serve.
    """
    gc.collect()
    gc.freeze()
