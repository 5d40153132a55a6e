"""How the compared programs are run: ``python -m gateways.NAME UPSTREAM LOOP``.

``UPSTREAM`` is the fake upstream's port, ``LOOP`` is ``asyncio`` or ``uvloop``. A program prints the port on which it
listens and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler
from answers import PATH

BACKLOG = 2048
Serve = Callable[[int], Awaitable[None]]
"""Takes the upstream's port and serves until its standard input closes."""


def run(serve: Serve) -> None:
    """Do what the command line asks for."""
    upstream, loop = sys.argv[1:]
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None

    async def main() -> None:
        await serve(int(upstream))

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def until_reported(port: int) -> None:
    """Print the port and wait until the standard input closes."""
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve_with_aiohttp(chat: Handler) -> None:
    """Answer chats with aiohttp's server until the standard input closes."""
    application = web.Application()
    application.router.add_post(PATH, chat)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
    await until_reported(runner.addresses[0][1])
    await runner.cleanup()
