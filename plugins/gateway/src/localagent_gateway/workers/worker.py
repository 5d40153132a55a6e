"""One process that answers: client, APIs and HTTP server, from start to drain."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from typing import Any

from localagent import Client, Route
from localagent.supervision import tell_failure
from localagent_gateway.apis.added_routes import with_added
from localagent_gateway.apis.anthropic.api import AnthropicApi
from localagent_gateway.apis.dispatch import Dispatcher
from localagent_gateway.apis.ollama.api import OllamaApi
from localagent_gateway.apis.openai.api import OpenAIApi
from localagent_gateway.apis.openapi import with_document
from localagent_gateway.apis.service import Service
from localagent_gateway.http.aiohttp_front import AiohttpFront
from localagent_gateway.http.origins import Origins
from localagent_gateway.keys.authentication import authentication, keys_needed
from localagent_gateway.logs.access_log import AccessLog
from localagent_gateway.logs.log_lines import Lines, standard_error
from localagent_gateway.settings import GatewaySettings
from localagent_gateway.workers.generation import TELL_SECONDS, Generation
from localagent_gateway.workers.operation import operation_routes

log = logging.getLogger("localagent.gateway")


class Worker:
    """A running gateway.

    Args:
        generation: The pipeline in service.
        settings: The gateway's settings.
        front: The HTTP server.
        access_log: The log of requests.

    Attributes:
        generation: The pipeline in service; ``switch`` brings another.
        settings: The gateway's settings.
        front: The HTTP server.
        access_log: The log of requests.
    """

    def __init__(
        self, generation: Generation, settings: GatewaySettings, front: AiohttpFront, access_log: AccessLog
    ) -> None:
        self.generation = generation
        self.settings = settings
        self.front = front
        self.access_log = access_log
        self._retiring: dict[Generation, asyncio.Task[None]] = {}

    @property
    def client(self) -> Client:
        """The client of the pipeline in service."""
        return self.generation.client

    @property
    def service(self) -> Service:
        """What the APIs stand on."""
        return self.generation.service

    @property
    def generations(self) -> list[Generation]:
        """The pipeline in service, and those before it whose requests have not ended."""
        return [self.generation, *self._retiring]

    async def switch(self, client: Client, settings: GatewaySettings) -> None:
        """Answer from now on with another client; the one before is closed when its last request has ended.

        Where the gateway listens, its log and ``header_timeout`` stay as they are.

        Args:
            client: The open client; the worker closes it.
            settings: The gateway's settings.
        """
        new = await _generation(client, settings)
        old, self.generation, self.settings = self.generation, new, settings
        self.front.switch(new, settings, _origins(new, settings))
        task = asyncio.create_task(old.retire(settings.drain_timeout), name="retire a pipeline")
        self._retiring[old] = task
        task.add_done_callback(lambda _: self._retiring.pop(old, None))
        task.add_done_callback(tell_failure(log))

    async def retired(self) -> None:
        """Return when the pipelines that were replaced are closed."""
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)

    async def drain(self, *, delay: bool = True, linger: bool = False) -> None:
        """Stop in good order: say that no more is wanted, let what is under way end, tell the rest, and close.

        Args:
            delay: Whether new connections are still taken in for ``drain_delay``.
            linger: Whether connections that clients keep stay open until their next request was answered, or until
                they were idle for ``header_timeout``. Somebody else takes in new connections, so nobody waits.
        """
        self.service.draining = self.front.draining = True
        if delay:
            await asyncio.sleep(self.settings.drain_delay)
        self.front.stop_listening()
        if linger and not await self.front.wait_unconnected(self.settings.drain_timeout):
            self._interrupt()
            await self.front.wait_unconnected(self.settings.header_timeout)
        if not await self.front.wait_idle(self.settings.drain_timeout):
            self._interrupt()
            await self.front.wait_idle(TELL_SECONDS)
        await self.front.aclose()
        self.access_log.flush()

    def _interrupt(self) -> None:
        for generation in self.generations:
            generation.interrupt()

    async def aclose(self) -> None:
        """Close the server and every client that ``switch`` brought."""
        await self.front.aclose()
        self.access_log.flush()
        retiring = list(self._retiring.values())
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        await self.client.aclose()


@contextlib.asynccontextmanager
async def running(
    client: Client, settings: GatewaySettings, sockets: list[Any], lines: Lines | None = None
) -> AsyncIterator[Worker]:
    """Serve on sockets that are bound, until the context ends; ``Worker.drain`` ends it in good order before.

    Args:
        client: The open client; closed at the end.
        settings: The gateway's settings.
        sockets: Where to listen.
        lines: Where requests are logged; left out, on standard error.
    """
    generation = await _generation(client, settings)
    wall = generation.runtime.wall
    with contextlib.nullcontext(lines) if lines is not None else contextlib.closing(standard_error(wall)) as log:
        access_log = AccessLog(settings.log, log.put, wall)
        front = AiohttpFront(generation, settings, _origins(generation, settings), access_log)
        await front.listen(sockets)
        worker = Worker(generation, settings, front, access_log)
        try:
            yield worker
        finally:
            await worker.aclose()


async def _generation(client: Client, settings: GatewaySettings) -> Generation:
    runtime = await client.runtime()
    service = Service(client, settings, runtime.wall)
    routes = with_document(with_added(_routes(service), runtime.pipeline))
    dispatcher = Dispatcher(routes, await authentication(runtime, settings))
    return Generation(client, runtime, service, dispatcher)


def _origins(generation: Generation, settings: GatewaySettings) -> Origins:
    return Origins(settings, functools.partial(keys_needed, generation.runtime))


def _routes(service: Service) -> list[Route]:
    apis = (OpenAIApi(service), OllamaApi(service), AnthropicApi(service))
    return [*operation_routes(service), *(route for api in apis for route in api.routes())]
