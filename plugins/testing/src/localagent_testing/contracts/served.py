"""The base of the provider contract's tests: a client whose provider sends requests to a fault server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import pytest

from localagent import Client, LocalAgentError, Plugin
from localagent.errors import InvalidRequest
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries
from localagent_testing.connection import ReceivedRequest
from localagent_testing.contracts.base import Contract
from localagent_testing.contracts.servers import ProtocolServer
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import Body, Headers, answer
from localagent_testing.steps import ReadRequest, Script, Send

__all__ = ["NAME", "Served", "error_of", "says"]

NAME = "contract"
KEY = "CONTRACT_KEY"
NO_HEADERS: Mapping[str, str] = {}


def says(body: Body, status: int = 200, headers: Headers = NO_HEADERS) -> Script:
    """Read a request and answer it."""
    return (ReadRequest(), Send(answer(status, body, headers)))


async def error_of(work: Awaitable[Any]) -> LocalAgentError | None:
    """Return the error with which some work ends; None when it ends well."""
    try:
        await work
    except LocalAgentError as error:
        return error
    return None


class Served(Contract):
    """A provider and its server.

    Attributes:
        plugin: The plugin that brings the provider type.
        server: How servers of its protocol answer.
        type: The provider type; None means the plugin's name without ``provider-``.
    """

    plugin: ClassVar[type[Plugin]]
    server: ClassVar[ProtocolServer]
    type: ClassVar[str | None] = None

    def settings(self) -> Mapping[str, Any]:
        """Return what the provider's table needs besides address and key."""
        return {}

    @asynccontextmanager
    async def client(self, url: str, **more: Any) -> AsyncIterator[Client]:
        """Open a client whose provider uses this address, with the canary key and no background checks."""
        kind = self.plugin.name.removeprefix("provider-") if self.type is None else self.type
        table = {"type": kind, "instances": [url], "keys": [{"env": KEY}], **self.settings(), **more}
        settings = {"providers": {NAME: table}, "default_model": f"{NAME}/m", "health": {"enabled": False}}
        async with Client(
            settings, plugins=[AiohttpConnectPlugin, self.plugin], environment={KEY: CANARY_KEY}
        ) as client:
            yield client

    def asking(self, server: FaultServer, **more: Any) -> AbstractAsyncContextManager[Client]:
        """Open a client whose provider uses this server."""
        return self.client(server.url + self.server.dialect.prefix, **more)

    @asynccontextmanager
    async def serving(self, **bodies: Body) -> AsyncIterator[tuple[FaultServer, Client]]:
        """Start a server that answers each operation with a body, and a client that uses it."""

        def script(request: ReceivedRequest) -> Script:
            body = bodies.get(self.server.operation(request))
            return (Send(answer(200, self.server.other(request) if body is None else body)),)

        async with FaultServer(script) as server, self.asking(server) as client:
            yield server, client

    async def failure_of_chat(self, script: Script, canaries: Canaries) -> LocalAgentError:
        """Return the error of a chat for which the server runs this script; it is searched for canaries."""
        async with FaultServer(script) as server, self.asking(server) as client:
            with pytest.raises(LocalAgentError) as caught:
                await client.chat(CANARY_PROMPT)
        canaries.watch(caught.value)
        return caught.value

    async def refused_unsupported(self, operation: str, asking: Coroutine[Any, Any, Any], server: FaultServer) -> bool:
        """Return whether the protocol lacks an operation; then it must be refused before anything is sent."""
        if operation in self.server.supports:
            asking.close()
            return False
        with pytest.raises(InvalidRequest) as caught:
            await asking
        assert (caught.value.code, caught.value.status, server.requests) == ("unsupported", 400, [])
        return True
