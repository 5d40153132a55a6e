"""Sends every kind of request through a combination of plugins, and checks the results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from typing import Any

import aiohttp
import pytest
from covering import Row
from stage import TEXT, Stage

from localagent import Client, Plugin
from localagent.errors import UpstreamServerError
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import WirePlugin

OFF, ON = "off", "on"
ASKED = {"role": "user", "content": "Say hello."}
CACHES = ("cache-memory", "cache-sqlite", "cache-valkey")

# The main settings of plugins, by the value that a row may choose instead of "on". What a new plugin lists here is
# combined with everything else; without an entry a plugin is on or off.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "cache-memory": {"small": {"max_entries": 2, "ttl": "1 min"}},
    "cache-sqlite": {"small": {"max_entries": 2, "max_size": "64 KiB"}},
    "cache-valkey": {"compressed": {"compress_above": 1}},
    "connect-aiohttp": {"spare": {"spare": 1}},
}
CORE: dict[str, dict[str, dict[str, Any]]] = {
    "sharing": {"default": {}, "all": {"sharing": {"policy": "all"}}, "no flights": {"sharing": {"flights": False}}},
}


def installed() -> dict[str, type[Plugin]]:
    """Return every installed plugin by its name."""
    return {point.name: point.load() for point in entry_points(group="localagent")}


def factors(plugins: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what a row chooses: each plugin off, on, or on with other settings, and the main settings of the core."""
    chosen = {name: (OFF, ON, *VARIANTS.get(name, ())) for name in plugins}
    return {**chosen, **{name: tuple(variants) for name, variants in CORE.items()}}


def settings_of(row: Row, stage: Stage, prefix: str) -> dict[str, Any]:
    """Return the settings of a row."""
    on = {name for name, value in row.items() if name not in CORE and value != OFF}
    plugins: dict[str, Any] = {name: VARIANTS.get(name, {}).get(row[name], {}) for name in on}
    if "cache-valkey" in on:
        plugins["cache-valkey"] = {**plugins["cache-valkey"], "url": stage.valkey, "prefix": prefix, "budget": "10 s"}
    if "cache-sqlite" in on:
        plugins["cache-sqlite"] = {**plugins["cache-sqlite"], "timeout": "10 s"}
    providers: dict[str, Any] = {
        "wire": {"instances": [f"{stage.openai}/v1"]},
        "failing": {"type": "wire", "instances": [f"{stage.failing}/v1"]},
    }
    if "provider-openai" in on:
        providers["openai"] = {"instances": [f"{stage.openai}/v1"]}
    if "provider-ollama" in on:
        providers["ollama"] = {"instances": [stage.ollama]}
    if "provider-llamacpp" in on:
        providers["llamacpp"] = {"model": str(stage.model), "context": 256, "threads": 1, "batch": 64}
    common: dict[str, Any] = {}
    for name, variants in CORE.items():
        common |= variants[row[name]]
    return {
        "default_model": "wire/m", "models": {"careful": {"targets": ["failing/m", "wire/m"]}}, "providers": providers,
        "plugins": plugins, "state_folder": str(stage.folder), "health": {"enabled": False}, **common,
    }  # fmt: skip


@asynccontextmanager
async def opened(row: Row, plugins: dict[str, type[Plugin]], stage: Stage, prefix: str) -> AsyncIterator[Client]:
    """Open a client with a row's plugins; a provider of the test kit and a transport are always there."""
    on = {name: plugins[name] for name in plugins if row[name] != OFF}
    if not any(name.startswith("connect-") for name in on):
        on["connect-aiohttp"] = AiohttpConnectPlugin
    async with Client(settings_of(row, stage, prefix), plugins=[WirePlugin, *on.values()], environment={}) as client:
        yield client


async def exercise(row: Row, plugins: dict[str, type[Plugin]], stage: Stage, prefix: str) -> None:
    """Send everything that can be asked through a row's plugins.

    Raises:
        AssertionError: A result differs from what the row's plugins promise.
    """
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(opened(row, plugins, stage, prefix))
        await _answers(client, "wire/m")
        await _repeats(client, cached=any(row.get(cache, OFF) != OFF for cache in CACHES))
        await _fails_over(client, retries=row.get("failure-retry", OFF) != OFF)
        assert (await client.embed("word", model="wire/m")).vectors == [[0.5, -1.0]]
        assert "m" in {model.id for model in await client.models()}
        for name in ("openai", "ollama"):
            if row.get(f"provider-{name}", OFF) != OFF:
                await _answers(client, f"{name}/m")
        if row.get("provider-llamacpp", OFF) != OFF:
            assert (await client.chat([ASKED], model=f"llamacpp/{stage.model.stem}", max_tokens=4)).text
        if row.get("gateway", OFF) != OFF:
            await _serves(client, stack)


async def _answers(client: Client, model: str) -> None:
    """Whole and streamed, alone and several at once."""
    assert (await client.chat([ASKED], model=model)).text == TEXT
    texts = await asyncio.gather(*(_streamed(client, model) for _ in range(3)))
    assert texts == [TEXT] * 3


async def _streamed(client: Client, model: str) -> str:
    async with client.stream([ASKED], model=model, temperature=0) as stream:
        return await stream.text()


async def _repeats(client: Client, *, cached: bool) -> None:
    """With a cache the same question is answered from it, without one never."""
    question = [{"role": "user", "content": "Say it again."}]
    first = await client.chat(question, model="wire/m", temperature=0)
    assert (first.text, first.cached) == (TEXT, "")
    again = first
    for _ in range(200):  # an answer is kept behind its caller's back
        again = await client.chat(question, model="wire/m", temperature=0)
        if again.cached or not cached:
            break
    assert (again.text, bool(again.cached)) == (TEXT, cached)


async def _fails_over(client: Client, *, retries: bool) -> None:
    """With a plugin that retries, an alias whose first target fails is answered by its second."""
    careful = client.chat([{"role": "user", "content": "Be careful."}], model="careful")
    if not retries:
        with pytest.raises(UpstreamServerError):
            await careful
        return
    answer = await careful
    assert (answer.text, answer.model) == (TEXT, "wire/m")


async def _serves(client: Client, stack: AsyncExitStack) -> None:
    """The gateway answers in each of its APIs."""
    from localagent_gateway import GatewaySettings
    from localagent_gateway.http.sockets import bind
    from localagent_gateway.processes.worker import running

    settings = GatewaySettings(port=0, log="none")
    sockets = bind(settings)
    await stack.enter_async_context(running(client, settings, sockets))
    host, port = sockets[0].getsockname()[:2]
    body = {"model": "wire/m", "messages": [ASKED], "stream": False}
    async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
        for path, more in {"/v1/chat/completions": {}, "/api/chat": {}, "/v1/messages": {"max_tokens": 9}}.items():
            async with http.post(path, json=body | more) as answer:
                text = await answer.text()
                assert (answer.status, TEXT in text) == (200, True), text
