"""The program of a worker process: ``python -m localagent_gateway.child``.

Standard input brings one line of JSON, the ``Order``, then ``Command`` lines, and stays open for as long as the
supervisor lives: when it closes, the worker drains and ends. Standard output carries ``Report`` lines back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from typing import IO, Any

import attrs
import msgspec

from localagent.command.line import CommandLine
from localagent.command.logs import logs
from localagent.command.terminal import Terminal
from localagent.errors import LocalAgentError
from localagent_gateway.defects import tell_defect
from localagent_gateway.event_loops import loop_factory
from localagent_gateway.figures import figures
from localagent_gateway.json_log import json_log
from localagent_gateway.log_lines import Lines
from localagent_gateway.order import Command, Order, Report
from localagent_gateway.reloading import reload
from localagent_gateway.serving import Serving
from localagent_gateway.start_objects import keep_for_good
from localagent_gateway.worker import Worker, running

LONGEST_LINE = 1024 * 1024


def main() -> None:
    """Serve until the supervisor says otherwise, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and SIGHUP are for the supervisor
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reports = _reserve_standard_output()
    commands = os.fdopen(0, "rb", buffering=0)  # what follows the first line is read by the event loop
    line = commands.readline()
    if not line:
        return
    order = msgspec.json.decode(line, type=Order)
    terminal = Terminal()
    with logs(terminal) as log, json_log() as lines:
        try:
            _run(order, CommandLine(terminal, log), commands, reports, lines)
        except LocalAgentError as error:
            _tell(reports, Report(error=str(error)))
            raise SystemExit(1) from None
        except Exception as error:  # whatever it is, it is logged as everything else is
            tell_defect("The worker failed", error)
            raise SystemExit(1) from None


def _run(order: Order, line: CommandLine, commands: IO[bytes], reports: IO[bytes], lines: Lines) -> None:
    serving = order.serving(line)
    settings = serving.settings()

    async def serve() -> None:
        sockets = [socket.socket(fileno=number) for number in order.sockets]
        async with serving.client() as client, running(client, settings, sockets, lines) as worker:
            keep_for_good()
            await _Obedience(worker, serving, order.number, reports).until_drained(commands)

    with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
        runner.run(serve())


class _Obedience:
    """Does what the supervisor says.

    Args:
        worker: Who serves.
        serving: What it was told to serve.
        number: The worker's number.
        reports: Where answers go.
    """

    def __init__(self, worker: Worker, serving: Serving, number: int, reports: IO[bytes]) -> None:
        self._worker = worker
        self._serving = serving
        self._under_way: set[asyncio.Task[None]] = set()
        self._number = number
        self._reports = reports
        self._drain: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def until_drained(self, pipe: IO[bytes]) -> None:
        """Say that the worker is ready, and obey until it was told to drain and has."""
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader(LONGEST_LINE)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), pipe)
        loop.add_signal_handler(signal.SIGTERM, self._drain_now, True, False)
        _tell(self._reports, Report(ready=True))
        reading = loop.create_task(self._obey(commands), name="read commands")
        try:
            while self._drain is None or not self._drain.done():
                await self._news.wait()
                self._news.clear()
            await self._drain
        finally:
            ending = [reading, *self._under_way]
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
            loop.remove_signal_handler(signal.SIGTERM)
            transport.close()

    async def _obey(self, commands: asyncio.StreamReader) -> None:
        while line := await commands.readline():
            command = msgspec.json.decode(line, type=Command)
            if command.do == "figures":
                report = Report(id=command.id, figures=figures(self._worker, self._number))
                _tell(self._reports, report)
            elif command.do == "reload":
                self._begin(self._reload(command), "reload the settings")
            else:
                self._drain_now(True, command.linger)
        self._drain_now(False, False)  # the supervisor is gone: nobody would take in what comes

    async def _reload(self, command: Command) -> None:
        """Read the settings again, and say what came of it; the supervisor sends no second order meanwhile."""
        error = ""
        try:
            await reload(self._worker, attrs.evolve(self._serving, shared=command.shared))
        except LocalAgentError as failure:
            error = str(failure)
        except Exception as failure:  # the code of plugins; the worker must go on
            error = f"{type(failure).__name__}."
        _tell(self._reports, Report(id=command.id, error=error))
        if not error:
            await self._worker.retired()
            _tell(self._reports, Report(id=command.then))

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _drain_now(self, delay: bool, linger: bool) -> None:
        """Begin to drain; a second order stands in the place of the first."""
        if self._drain is not None:
            self._drain.cancel()
        self._drain = asyncio.create_task(self._worker.drain(delay=delay, linger=linger), name="drain")
        self._drain.add_done_callback(lambda _: self._news.set())


def _reserve_standard_output() -> IO[bytes]:
    """Return standard output for our reports, and send what anybody else prints to standard error."""
    ours = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return ours


def _tell(supervisor: IO[bytes], report: Report) -> None:
    """Write one line; a pipe holds more than that, and the supervisor reads all the time."""
    try:
        supervisor.write(msgspec.json.encode(report) + b"\n")
    except OSError:  # it has left; standard input tells so, too
        return


if __name__ == "__main__":
    main()
