"""The rules that a provider type brings hold wherever its servers answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from localagent import Client, NoSettings, OpenAICompatible, Plugin, ProviderType, hookimpl
from localagent.errors import QuotaExhausted
from localagent.http_answers import ErrorRule
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import FaultServer, ReadRequest, Send, answer, sse

EMPTY = {"error": {"message": "Fill it.", "code": "purse_empty"}}
REFUSED = answer(418, EMPTY)
INSIDE = answer(200, EMPTY)
EVENT = answer(200, sse([EMPTY]), content_type="text/event-stream")


class HarbourPlugin(Plugin):
    """Brings a provider type whose servers have a code of their own."""

    name = "provider-harbour"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Name the type."""
        rules = [ErrorRule(QuotaExhausted, names="purse_empty")]
        return [
            ProviderType(
                "harbour", NoSettings, lambda setup: OpenAICompatible(setup, *setup.instances("")), error_rules=rules
            )
        ]


async def chat(client: Client) -> Any:
    """Ask for a whole answer."""
    return await client.chat("Hello.", model="harbour/m")


async def stream(client: Client) -> Any:
    """Ask for a stream."""
    async with client.stream("Hello.", model="harbour/m") as answer:
        return await answer.text()


async def complete(client: Client) -> Any:
    """Ask for a completion."""
    return await client.complete("Hello", model="harbour/m")


async def embed(client: Client) -> Any:
    """Ask for an embedding."""
    return await client.embed("Hello.", model="harbour/m")


async def models(client: Client) -> Any:
    """Ask for the models."""
    return await client.models()


SITES = {
    "a refused chat": (chat, REFUSED),
    "an error inside a chat's 200": (chat, INSIDE),
    "an event stream where a whole answer was asked for": (chat, EVENT),
    "an error inside a completion's 200": (complete, INSIDE),
    "an error inside the 200 of embeddings": (embed, INSIDE),
    "a refused stream": (stream, REFUSED),
    "an event of a stream": (stream, EVENT),
    "a plain document where a stream was asked for": (stream, INSIDE),
    "a refused model list": (models, REFUSED),
}


@pytest.mark.parametrize("site", SITES)
async def test_own_rules_hold_for_every_answer(site: str) -> None:
    """Whole answers, errors inside a 200, events of a stream, lists of models."""
    ask, said = SITES[site]
    await expect_quota(ask, said)


async def expect_quota(ask: Callable[[Client], Awaitable[Any]], said: bytes) -> None:
    """Let a server answer, and expect what the provider type's rule says about it."""
    async with FaultServer((ReadRequest(), Send(said))) as server, client_of(server) as client:
        with pytest.raises(QuotaExhausted):
            await ask(client)


async def test_own_rules_hold_for_a_check() -> None:
    """What a health check is refused with is kept with the instance."""
    async with FaultServer((ReadRequest(), Send(REFUSED))) as server, client_of(server) as client:
        (state,) = await client.health()
    assert state.error.startswith("No money or quota is left")


def client_of(server: FaultServer) -> Client:
    """Return a client of a harbour at a server."""
    settings = {"providers": {"harbour": {"instances": [server.url]}}}
    return Client(settings, plugins=[AiohttpConnectPlugin, HarbourPlugin], environment={})
