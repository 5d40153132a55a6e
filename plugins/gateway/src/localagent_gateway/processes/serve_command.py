"""``localagent serve``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import click

from localagent.errors import LocalAgentError
from localagent_cli import CommandLine, ExitCode, command, exit_code, run_until_interrupted, sentence
from localagent_gateway.http.sockets import bind
from localagent_gateway.logs.defects import tell_defect
from localagent_gateway.logs.json_log import json_log
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.single_process import serve_alone
from localagent_gateway.processes.supervisor import supervise
from localagent_gateway.processes.worker import loop_factory
from localagent_gateway.signals import Signals

log = logging.getLogger("localagent.gateway")


@command("serve", help="Serve the OpenAI, Ollama and Anthropic APIs.")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 lets the system choose.  [default: 8400]")
@click.option("--workers", type=click.IntRange(min=1), help="How many processes answer.  [default: 1]")
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
            with told_in_the_log():
                return run_until_interrupted(runner, work)
    finally:
        for sock in sockets:
            sock.close()


@contextlib.contextmanager
def told_in_the_log() -> Iterator[None]:
    """Log what ends the server, as everything else is logged, and end the command with its exit code.

    Raises:
        click.exceptions.Exit: In the place of any error.
    """
    try:
        yield
    except LocalAgentError as error:
        log.error("%s", sentence(error))
        raise click.exceptions.Exit(exit_code(error)) from None
    except Exception as error:  # whoever's it is, it is logged as everything else is
        tell_defect("The server failed", error)
        raise click.exceptions.Exit(ExitCode.FAILED) from None
