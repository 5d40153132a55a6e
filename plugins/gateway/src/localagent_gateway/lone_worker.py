"""One worker in the process of ``localagent serve`` itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from localagent.errors import LocalAgentError
from localagent_gateway.figures import figures
from localagent_gateway.serving import Serving
from localagent_gateway.shared_parts import SharedParts
from localagent_gateway.signals import Signals
from localagent_gateway.start_objects import keep_for_good
from localagent_gateway.worker import Worker, running

log = logging.getLogger("localagent.gateway")


async def serve_alone(serving: Serving, sockets: list[socket.socket]) -> bool:
    """Serve until a signal ends it.

    Args:
        serving: What was asked for on the command line.
        sockets: Where to listen.

    Returns:
        Whether it was drained; False when a second signal ended it.
    """
    with Signals() as signals:
        async with SharedParts() as parts:
            now = await serving.with_shared(parts)
            async with now.client() as client, running(client, now.settings(), sockets) as worker:
                keep_for_good()

                async def reload() -> None:
                    await _switch(worker, serving, parts)

                async def gather() -> list[dict[str, Any]]:
                    return [figures(worker, 1)]

                async with serving.told(sockets, gather):
                    async with obeying(signals.reload, reload):
                        await signals.ending.wait()
                    return await signals.unless_now(worker.drain())


async def _switch(worker: Worker, serving: Serving, parts: SharedParts) -> None:
    now = await serving.with_shared(parts)
    settings = now.settings()
    client = now.client()
    try:
        await client.runtime()
        await worker.switch(client, settings)
    except BaseException:
        await client.aclose()
        raise
    parts.drop_others_after(worker.retired())


@contextlib.asynccontextmanager
async def obeying(event: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Reload whenever the event is set, one after the other; what fails leaves all as it was and is logged."""
    task = asyncio.create_task(_obey(event, reload), name="reload the settings")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _obey(event: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    while True:
        await event.wait()
        event.clear()
        try:
            await reload()
        except LocalAgentError as error:
            log.warning("The settings were not read again, those before stay in force: %s", error)
        except Exception as error:  # the code of plugins that were reloaded; the server must go on
            log.warning("The settings were not read again, those before stay in force: %s.", type(error).__name__)
        else:
            log.warning("The settings were read again.")
