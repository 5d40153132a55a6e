"""The tester's function for a whole client: plays faults through ``Client`` and the installed provider plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from localagent import ChatResponse, Chunk, Client
from localagent.timing import Timeouts
from localagent_testing.faults.driver import play
from localagent_testing.faults.records import Ask, Fault, Heard, ProtocolName, Verdict

NAME = "faulty"


class ThroughClient:
    """Sends a fault's requests through one client, which is created by the first call and closed at the end.

    Args:
        plugins: Names of plugins to use in addition to the provider's, such as another transport.
    """

    def __init__(self, *plugins: str) -> None:
        self._client: Client | None = None
        self._plugins = plugins

    async def __call__(self, url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        """Send one request; see ``localagent_testing.faults.Call``."""
        if self._client is None:
            self._client = Client(_settings(url, ask, timeouts, self._plugins), environment={"CANARY": ask.key})
            await self._client.runtime()
        messages = [{"role": "user", "content": ask.prompt}]
        more: dict[str, Any] = {"n": ask.choices} if ask.choices > 1 else {}
        if ask.operation == "chat":
            return _heard(await self._client.chat(messages, timeout=timeouts.total, **more))
        return await self._streamed(messages, ask, timeouts, more)

    async def _streamed(
        self, messages: list[dict[str, Any]], ask: Ask, timeouts: Timeouts, more: dict[str, Any]
    ) -> Heard:
        assert self._client is not None
        from localagent.schema import join_events

        chunks: list[Chunk] = []
        async with self._client.stream(messages, timeout=timeouts.total, **more) as stream:
            async for chunk in stream:
                chunks.append(chunk)
                if chunk.text:
                    ask.heard()
            document = join_events(chunk.data for chunk in chunks)
            choice = document["choices"][0] if document["choices"] else {"message": {}}
            text = "".join(chunk.text for chunk in chunks)
            return Heard(text, stream.usage, document.get("model"), _tool_calls(choice["message"]))

    async def aclose(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()


def _settings(url: str, ask: Ask, timeouts: Timeouts, plugins: tuple[str, ...]) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "type": ask.protocol,
        "instances": [url],
        "keys": [{"env": "CANARY"}],
        "timeouts": {name: value for name, value in attrs.asdict(timeouts).items() if value is not None},
        "size_limits": attrs.asdict(ask.size_limits),
        "pool": {"limit": ask.pool_limit},
    }
    if ask.authority is not None:
        provider["authority"] = str(ask.authority)
    return {
        "use": ["connect-aiohttp", f"provider-{ask.protocol}", *plugins],
        "default_model": f"{NAME}/{ask.model}",
        "providers": {NAME: provider},
        "health": {"enabled": False},
    }


def _heard(response: ChatResponse) -> Heard:
    return Heard(response.text, response.usage, response.document.get("model"), _tool_calls(response.message))


def _tool_calls(message: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    calls = message.get("tool_calls") or ()
    return tuple((call["function"]["name"], call["function"]["arguments"]) for call in calls)


@asynccontextmanager
async def client_call(*plugins: str) -> AsyncIterator[ThroughClient]:
    """Yield the tester's function for one play."""
    call = ThroughClient(*plugins)
    try:
        yield call
    finally:
        await call.aclose()


async def play_through_client(fault: Fault, protocol: ProtocolName, *plugins: str) -> Verdict:
    """Play one fault through its own client, with these plugins in addition to the provider's.

    With ``failure-retry`` among them, the fault's ``retried`` is expected if it has one.
    """
    if "failure-retry" in plugins and fault.retried is not None:
        fault = attrs.evolve(fault, expect=fault.retried)
    async with client_call(*plugins) as call:
        return await play(fault, protocol, call)
