"""A program that does one thing N times, for the count of its instructions: ``python counted.py CASE N``."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import entry_points

from answers import EVENTS, KEY, MESSAGES, MODEL, PATH, TEXT, pieces, whole_body, words
from cases import clients, noops
from cases.memory_transport import MemoryTransport, bringing

Work = Callable[[int, AsyncExitStack], Awaitable[None]]


async def call(number: int, stack: AsyncExitStack) -> None:
    """Ask for whole answers, over a transport without a socket."""
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, bringing(MemoryTransport(whole_body()))))
    await clients.chats(client)(number)


async def hit(number: int, stack: AsyncExitStack) -> None:
    """Ask the same question again and again; the cache in memory answers."""
    from localagent_cache_memory import MemoryCachePlugin

    memory = bringing(MemoryTransport(whole_body()))
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory, MemoryCachePlugin))
    for _ in range(number):
        response = await client.chat(MESSAGES, model=clients.TARGET, temperature=0)
        assert response.text == TEXT


async def chunk(number: int, stack: AsyncExitStack) -> None:
    """Read one stream of so many chunks, each from a piece of its own."""
    count = EVENTS + number
    memory = bringing(MemoryTransport(*pieces(count + 1, count)))
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory))
    await clients.streams(client, words(count))(1)


async def gateway(number: int, stack: AsyncExitStack) -> None:
    """Ask the gateway for whole answers over one loopback connection; the client's part is raw bytes and is counted."""
    from localagent_gateway import GatewayPlugin, GatewaySettings
    from localagent_gateway.http.sockets import bind
    from localagent_gateway.processes.worker import running

    memory = bringing(MemoryTransport(whole_body()))
    settings = GatewaySettings(port=0, log="none")
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory, GatewayPlugin(settings)))
    sockets = bind(settings)
    await stack.enter_async_context(running(client, settings, sockets))
    reader, writer = await asyncio.open_connection(*sockets[0].getsockname()[:2])
    request = _request()
    for _ in range(number):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        assert (await reader.readexactly(length)).startswith(b"{")
    writer.close()
    await writer.wait_closed()


def _request() -> bytes:
    import msgspec

    body = msgspec.json.encode({"model": f"local/{MODEL}", "messages": MESSAGES, "temperature": 0.5})
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def miss(number: int, stack: AsyncExitStack) -> None:
    """Ask a new question each time; the cache in memory keeps the answers."""
    from localagent_cache_memory import MemoryCachePlugin

    memory = bringing(MemoryTransport(whole_body()))
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory, MemoryCachePlugin))
    for turn in range(number):
        messages = [*MESSAGES[:-1], {**MESSAGES[-1], "content": f"{MESSAGES[-1]['content']} {turn:06}"}]
        response = await client.chat(messages, model=clients.TARGET, temperature=0)
        assert (response.text, response.cached) == (TEXT, "")


async def metrics(number: int, stack: AsyncExitStack) -> None:
    """Ask for whole answers, with metrics-summary and metrics-prometheus."""
    await _with(number, stack, "metrics-summary", "metrics-prometheus")


async def _with(number: int, stack: AsyncExitStack, *names: str) -> None:
    plugins = [entry_points(group="localagent", name=name)[name].load() for name in names]
    memory = bringing(MemoryTransport(whole_body()))
    client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory, *plugins))
    await clients.chats(client)(number)


def _beside(name: str) -> Work:
    async def work(number: int, stack: AsyncExitStack) -> None:
        await _with(number, stack, name)

    work.__doc__ = f"The same as call, with {name}."
    return work


def _step(hook: str) -> Work:
    async def work(number: int, stack: AsyncExitStack) -> None:
        memory = bringing(MemoryTransport(whole_body()))
        client = await stack.enter_async_context(clients.client(clients.NOWHERE, memory, noops.plugin(hook)))
        await clients.chats(client)(number)

    work.__doc__ = f"The same as call, with a step of {hook} that does nothing."
    return work


def _idle_plugins() -> list[str]:
    """Return the installed plugins that have nothing to do with such a call, in the order of their names."""
    names = {point.name for point in entry_points(group="localagent")}
    return sorted(name for name in names if not name.startswith(("connect-", "provider-openai", "wire", "fake")))


CASES: dict[str, Work] = {
    "call": call,
    "hit": hit,
    "miss": miss,
    "chunk": chunk,
    "gateway": gateway,
    "metrics": metrics,
}
"""What is counted with several seeds."""
ADDED: dict[str, Work] = {
    **{f"step:{hook}": _step(hook) for hook in noops.EVERY},
    **{f"with:{name}": _beside(name) for name in _idle_plugins()},
}
"""What is compared with ``call``: a step that does nothing, and plugins that are only active."""


async def main(case: str, number: int) -> None:
    """Do a case's work, without the garbage collector.

    When it runs depends on how many objects there are: what a call costs differed by 8 % between two trees that differ
    in a module which it never runs.
    """
    gc.disable()
    async with AsyncExitStack() as stack:
        await (CASES | ADDED)[case](number, stack)


if __name__ == "__main__":
    assert KEY
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
