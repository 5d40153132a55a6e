"""One pipeline in service: the client, and the dispatcher that leads requests into it.

A worker has one; after a reload the one before is there too, until its last request has ended.
"""

from __future__ import annotations

import asyncio

from localagent import Client, LocalAgentError
from localagent.errors import Draining
from localagent.plugin_api import FrontAnswer, FrontRequest, FrontStream
from localagent.runtime import Runtime
from localagent_gateway.apis.dispatch import Dispatcher
from localagent_gateway.apis.service import Service
from localagent_gateway.http.body_reading import ReadBody

LOOK_SECONDS = 0.05  # between two looks whether a pipeline that was replaced is still in use
TELL_SECONDS = 1.0  # for clients to be told that what they wait for was ended


class ServingPipeline:
    """A pipeline in service.

    Args:
        client: The open client.
        runtime: Its running core.
        service: What the APIs stand on.
        dispatcher: Leads requests to the APIs.
    """

    def __init__(self, client: Client, runtime: Runtime, service: Service, dispatcher: Dispatcher) -> None:
        self.client = client
        self.runtime = runtime
        self.service = service
        self.dispatcher = dispatcher
        self._entered = 0

    async def handle(self, request: FrontRequest, read: ReadBody) -> FrontAnswer | FrontStream:
        """Answer a request, and remember meanwhile that it is here; see ``Dispatcher.handle``."""
        self._entered += 1
        try:
            return await self.dispatcher.handle(request, read)
        finally:
            self._entered -= 1

    def refuse(self, error: LocalAgentError, request: FrontRequest, *, plain: bool = False) -> FrontAnswer:
        """Return the answer of a request that failed outside its handler; see ``Dispatcher.refuse``."""
        return self.dispatcher.refuse(error, request, plain=plain)

    @property
    def used(self) -> bool:
        """Whether a request, a call or a stream is under way."""
        return bool(self._entered or self.runtime.engine.calls or self.runtime.engine.streams)

    def interrupt(self) -> None:
        """End all calls and streams; each client is told that the server is closing."""
        for run in list(self.runtime.engine.streams):
            run.interrupt(_closing())
        for call in list(self.runtime.engine.calls):
            call.timer.end(_closing())

    async def retire(self, seconds: float) -> None:
        """Let what is under way end within a time, tell the rest, and close the client."""
        try:
            if not await self._unused(seconds):
                self.interrupt()
                await self._unused(TELL_SECONDS)
        finally:
            await self.client.aclose()

    async def _unused(self, seconds: float) -> bool:
        until = self.runtime.services.loop.time() + seconds
        while self.used and self.runtime.services.loop.time() < until:  # noqa: ASYNC110 - three counts, and only after a reload
            await asyncio.sleep(LOOK_SECONDS)
        return not self.used


def _closing() -> Draining:
    return Draining("The server is closing.", code="server_draining")
