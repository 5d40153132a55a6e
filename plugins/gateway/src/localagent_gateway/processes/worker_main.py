"""The program of a worker process: ``python -m localagent_gateway.processes.worker_main``.

Standard input carries one line of JSON, the ``StartCommand``, then ``Command`` lines. It stays open as long as the
supervisor lives; when it closes, the worker drains and ends. Standard output carries ``Report`` lines back.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import IO, Any

import msgspec

from localagent import Stats
from localagent.errors import LocalAgentError
from localagent.supervision import raised_at, report_failure
from localagent_cli import CommandLine, Terminal, logs
from localagent_gateway.logs.defects import report_defect
from localagent_gateway.logs.json_log import json_log
from localagent_gateway.logs.log_writer import LogWriter
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.reloading import reload
from localagent_gateway.processes.worker import Worker, keep_for_good, loop_factory, running
from localagent_gateway.processes.worker_messages import Command, Report, StartCommand, settings_file
from localagent_gateway.signals import ignore
from localagent_gateway.status.health import worker_stats

log = logging.getLogger("localagent.gateway")

LONGEST_LINE = 64 * 1024 * 1024  # a settings file is sent in one line


def main() -> None:
    """Serve until the supervisor ends the worker or is gone."""
    ignore()
    reports = _reserve_standard_output()
    commands = os.fdopen(0, "rb", buffering=0)  # the event loop reads the lines after the first
    line = commands.readline()
    if not line:
        return
    start = msgspec.json.decode(line, type=StartCommand)
    terminal = Terminal()
    with logs(terminal) as log, json_log() as lines:
        try:
            _run(start, CommandLine(terminal, log), commands, reports, lines)
        except LocalAgentError as error:
            _report(reports, Report(error=str(error)))
            raise SystemExit(1) from None
        except Exception as error:  # any error is logged in the usual form
            report_defect("The worker failed", error)
            raise SystemExit(1) from None


def _run(start: StartCommand, line: CommandLine, commands: IO[bytes], reports: IO[bytes], lines: LogWriter) -> None:
    configuration = start.configuration(line)

    async def serve() -> None:
        sockets = [socket.socket(fileno=number) for number in start.sockets]
        async with configuration.client() as client, running(client, configuration.gateway, sockets, lines) as worker:
            keep_for_good()
            await _CommandReader(worker, configuration, start.number, reports).until_drained(commands)

    with asyncio.Runner(loop_factory=loop_factory(configuration.gateway.loop)) as runner:
        runner.run(serve())


class _CommandReader:
    """Carries out the commands of the supervisor.

    Args:
        worker: The worker.
        configuration: Its configuration at the start.
        number: The worker's number.
        reports: The pipe for the reports.
    """

    def __init__(self, worker: Worker, configuration: Configuration, number: int, reports: IO[bytes]) -> None:
        self._worker = worker
        self._configuration = configuration
        self._under_way: set[asyncio.Task[None]] = set()
        self._number = number
        self._reports = reports
        self._drain: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._questions = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Stats]] = {}
        worker.gather = self._gather_stats

    async def until_drained(self, pipe: IO[bytes]) -> None:
        """Report that the worker is ready, and carry out commands until it has drained."""
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader(LONGEST_LINE)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), pipe)
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        _report(self._reports, Report(ready=True))
        reading = loop.create_task(self._act(commands), name="read commands")
        reading.add_done_callback(report_failure(log))
        try:
            while self._drain is None or not self._drain.done():
                await self._news.wait()
                self._news.clear()
            await self._drain
            _report(self._reports, Report(samples=self._worker.collect_stats().to_builtins()))
        finally:
            ending = [reading, *self._under_way]
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
            loop.remove_signal_handler(signal.SIGTERM)
            transport.close()

    async def _act(self, commands: asyncio.StreamReader) -> None:
        try:
            while line := await commands.readline():
                self._do(msgspec.json.decode(line, type=Command))
        except (ValueError, msgspec.MsgspecError) as error:  # not our supervisor
            log.error("A command of the supervisor is invalid: %s.", raised_at(error))
        self._drain_now(False, False)  # the supervisor is gone

    def _do(self, command: Command) -> None:
        if command.do == "gathered":
            asked = self._asked.pop(command.id, None)
            if asked is not None and not asked.done():
                asked.set_result(Stats.from_builtins(command.samples))
        elif command.do == "stats":
            _report(self._reports, self._stats(command.id))
        elif command.do == "ping":
            _report(self._reports, Report(id=command.id))
        elif command.do == "reload":
            self._begin(self._reload(command), "reload the settings")
        else:
            self._drain_now(True, command.linger)

    async def _gather_stats(self) -> Stats:
        """Ask the supervisor for the statistics of all workers; it answers, also when some of them do not."""
        number = next(self._questions)
        self._asked[number] = asyncio.get_running_loop().create_future()
        _report(self._reports, Report(gather=number))
        try:
            return await self._asked[number]
        finally:
            self._asked.pop(number, None)

    def _stats(self, number: int) -> Report:
        try:
            samples = self._worker.collect_stats().to_builtins()
            return Report(id=number, stats=worker_stats(self._worker, self._number), samples=samples)
        except Exception as error:  # an error of a plugin's statistics; the worker must keep running
            log.error("The statistics of worker %d are not available: %s.", self._number, raised_at(error))
            return Report(id=number, error=raised_at(error))

    async def _reload(self, command: Command) -> None:
        """Switch to other settings and report the outcome; the supervisor sends no second command meanwhile."""
        error = ""
        try:
            file = settings_file(command.path, command.text)
            line, options, workers = self._configuration.line, self._configuration.options, self._configuration.workers
            await reload(self._worker, Configuration.of(line, options, file, command.shared, workers))
        except LocalAgentError as failure:
            error = str(failure)
        except Exception as failure:  # an error of a plugin; the worker must keep running
            error = f"{raised_at(failure)}."
        _report(self._reports, Report(id=command.id, error=error))
        if not error:
            await self._worker.retired()
            _report(self._reports, Report(id=command.then))

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(report_failure(log))

    def _leave(self) -> None:
        """Shut down gracefully because of a signal; the supervisor starts another worker."""
        _report(self._reports, Report(leaving=True))
        self._drain_now(True, False)

    def _drain_now(self, delay: bool, linger: bool) -> None:
        """Start to drain; a second command replaces the first."""
        if self._drain is not None:
            self._drain.cancel()
        self._drain = asyncio.create_task(self._worker.drain(delay=delay, linger=linger), name="drain")
        self._drain.add_done_callback(lambda _: self._news.set())


def _reserve_standard_output() -> IO[bytes]:
    """Return standard output for our reports, and redirect all other output to standard error."""
    ours = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return ours


def _report(supervisor: IO[bytes], report: Report) -> None:
    """Write one line; it does not block, because a pipe holds more and the supervisor always reads."""
    try:
        supervisor.write(msgspec.json.encode(report) + b"\n")
    except OSError:  # it is gone; standard input reports that, too
        return


if __name__ == "__main__":
    main()
