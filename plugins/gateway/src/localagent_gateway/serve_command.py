"""``localagent serve``."""

from __future__ import annotations

import asyncio
import signal
import socket

import attrs
import click

from localagent.command.line import CommandLine
from localagent.command.options import command
from localagent_gateway.settings import GatewaySettings
from localagent_gateway.sockets import bind
from localagent_gateway.worker import running


@command("serve", help="Serve the OpenAI, Ollama and Anthropic APIs.")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 lets the system choose.  [default: 8400]")
def serve(line: CommandLine, host: str | None, port: int | None) -> None:
    """Serve until interrupted."""
    settings, _, _ = line.assembled()
    gateway = settings.for_plugin("gateway", GatewaySettings)
    gateway = attrs.evolve(
        gateway, host=gateway.host if host is None else host, port=gateway.port if port is None else port
    )
    sockets = bind(gateway)
    line.run(_serve(line, gateway, sockets))


async def _serve(line: CommandLine, settings: GatewaySettings, sockets: list[socket.socket]) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    async with line.client() as client, running(client, settings, sockets) as worker:
        for sock in sockets:
            host, port = sock.getsockname()[:2]
            line.terminal.note(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}/v1")
        await ending.wait()
        await worker.drain()
