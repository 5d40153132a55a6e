"""``localagent serve``; a single worker runs in the process of the command itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import click

from localagent.errors import LocalAgentError, StartError
from localagent_cli import CommandLine, ExitCode, command, exit_code, run_until_interrupted, sentence
from localagent_gateway.http.sockets import bind
from localagent_gateway.logs.defects import report_defect
from localagent_gateway.logs.json_log import json_log
from localagent_gateway.logs.log_writer import LogWriter
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.reloading import RELOADED, REPLACED, acting_on, reload
from localagent_gateway.processes.shared_resources import SharedResources
from localagent_gateway.processes.supervisor import supervise
from localagent_gateway.processes.worker import Worker, keep_for_good, loop_factory, running
from localagent_gateway.signals import Signals
from localagent_gateway.status.health import worker_stats

log = logging.getLogger("localagent.gateway")


@command("serve", help="Serve the OpenAI, Ollama and Anthropic APIs.")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 lets the system choose.  [default: 8400]")
@click.option("--workers", type=click.IntRange(min=1), help="The number of worker processes.  [default: 1]")
@click.option("--loop", type=click.Choice(["asyncio", "uvloop"]), help="The event loop.  [default: asyncio]")
def serve(line: CommandLine, **options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C; SIGHUP reads the settings again."""
    with Signals() as signals:
        drained = _serve(Configuration.read(line, options), signals)
    if not drained:
        raise click.exceptions.Exit(ExitCode.INTERRUPTED)


def _serve(configuration: Configuration, signals: Signals) -> bool:
    """Bind and serve; return whether it was drained."""
    workers = configuration.workers
    factory = loop_factory(configuration.gateway.loop)
    sockets = bind(configuration.gateway)
    try:
        with json_log() as lines, asyncio.Runner(loop_factory=factory if workers == 1 else None) as runner:
            if workers == 1:
                work = serve_alone(configuration, sockets, signals, lines)
            else:
                work = supervise(configuration, sockets, signals)
            with errors_logged():
                return run_until_interrupted(runner, work)
    finally:
        for sock in sockets:
            sock.close()


@contextlib.contextmanager
def errors_logged() -> Iterator[None]:
    """Log the error that ends the server in the usual form, and end the command with its exit code.

    Raises:
        click.exceptions.Exit: Replaces any error.
    """
    try:
        yield
    except LocalAgentError as error:
        log.error("%s", sentence(error))
        raise click.exceptions.Exit(exit_code(error)) from None
    except Exception as error:  # any error is logged in the usual form
        report_defect("The server failed", error)
        raise click.exceptions.Exit(ExitCode.FAILED) from None


async def serve_alone(
    configuration: Configuration, sockets: list[socket.socket], signals: Signals, lines: LogWriter
) -> bool:
    """Serve with one worker until a signal ends it, even one that arrives during the start.

    Args:
        configuration: The configuration.
        sockets: The sockets to listen on.
        signals: The signals of the operator.
        lines: The log for requests.

    Returns:
        Whether it was drained; False when a second signal ended it.
    """
    with signals.on_loop():
        async with SharedResources() as resources, contextlib.AsyncExitStack() as stack:
            alone = _Alone(configuration, resources, lines)
            if not await signals.unless_ending(alone.start(stack, sockets)):
                return True
            keep_for_good()
            async with configuration.announced(sockets, alone.stats):
                async with (
                    acting_on(signals.reload, alone.reload, **RELOADED),
                    acting_on(signals.replace, alone.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(alone.worker.drain())


class _Alone:
    """The worker, and the settings in force.

    Attributes:
        worker: The worker, once it is started.
    """

    worker: Worker

    def __init__(self, configuration: Configuration, resources: SharedResources, lines: LogWriter) -> None:
        self._configuration = configuration
        self._resources = resources
        self._lines = lines

    async def start(self, stack: contextlib.AsyncExitStack, sockets: list[socket.socket]) -> None:
        """Open everything; the stack closes it."""
        self._configuration = await self._configuration.with_shared(self._resources)
        client = await stack.enter_async_context(self._configuration.client())
        self.worker = await stack.enter_async_context(
            running(client, self._configuration.gateway, sockets, self._lines)
        )

    async def reload(self) -> None:
        """Read the settings again; the previous ones stay in force if that fails."""
        new = await self._configuration.again().with_shared(self._resources)
        try:
            await reload(self.worker, new)
        except BaseException:
            self._resources.release(new.lease)
            raise
        old, self._configuration = self._configuration, new
        self._resources.release_after(old.lease, self.worker.retired())

    async def replace(self) -> None:
        """Refuse: there is no other process.

        Raises:
            StartError: Always.
        """
        raise StartError("The only worker runs in the process of the command.", hint="Serve with --workers 2.")

    async def stats(self) -> dict[str, Any]:
        """Return the worker's statistics."""
        totals = self.worker.collect_stats().to_builtins()
        return {"workers": [worker_stats(self.worker, 1)], "silent": [], "stats": totals}
