"""One process that answers: client, APIs and HTTP server, from start to drain."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from localagent import Client, Draining, Route
from localagent_gateway.access_log import AccessLog
from localagent_gateway.aiohttp_front import AiohttpFront
from localagent_gateway.dispatch import Dispatcher
from localagent_gateway.ollama.api import OllamaApi
from localagent_gateway.openai.api import OpenAIApi
from localagent_gateway.operation import operation_routes
from localagent_gateway.origins import Origins
from localagent_gateway.routing import Routes
from localagent_gateway.service import Service
from localagent_gateway.settings import GatewaySettings


class Worker:
    """A running gateway.

    Args:
        client: The open client; the worker does not close it.
        settings: The gateway's settings.
        service: What the APIs stand on.
        front: The HTTP server.
        access_log: The log of requests.
    """

    def __init__(
        self, client: Client, settings: GatewaySettings, service: Service, front: AiohttpFront, access_log: AccessLog
    ) -> None:
        self.client = client
        self.settings = settings
        self.service = service
        self.front = front
        self._log = access_log

    async def drain(self) -> None:
        """Stop in good order: say that no more is wanted, let what is under way end, tell the rest, and close."""
        self.service.draining = True
        await asyncio.sleep(self.settings.drain_delay)
        self.front.stop_listening()
        if not await self.front.wait_idle(self.settings.drain_timeout):
            runtime = await self.client.runtime()
            for run in list(runtime.streams):
                run.interrupt(_closing())
            for call in list(runtime.calls):
                call.timer.end(_closing())
            await self.front.wait_idle(1.0)
        await self.front.aclose()
        self._log.flush()


def _closing() -> Draining:
    return Draining("The server is closing.", code="server_draining")


@contextlib.asynccontextmanager
async def running(client: Client, settings: GatewaySettings, sockets: list[Any]) -> AsyncIterator[Worker]:
    """Serve on sockets that are bound, until the context ends; ``Worker.drain`` ends it in good order before."""
    runtime = await client.runtime()
    service = Service(client, settings, runtime.wall)
    routes = Routes(_routes(service))
    access_log = AccessLog(settings.log, _to_stderr, runtime.wall)
    dispatcher = Dispatcher(routes, None)
    front = AiohttpFront(dispatcher.handle, settings, Origins(settings), access_log)
    await front.listen(sockets)
    try:
        yield Worker(client, settings, service, front, access_log)
    finally:
        await front.aclose()
        access_log.flush()


def _routes(service: Service) -> list[Route]:
    return [*operation_routes(service), *OpenAIApi(service).routes(), *OllamaApi(service).routes()]


def _to_stderr(lines: bytes) -> None:
    with contextlib.suppress(OSError):  # a closed or full sink must not end the server
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
