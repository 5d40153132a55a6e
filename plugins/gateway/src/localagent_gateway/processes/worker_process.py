"""A worker process from its supervisor's point of view."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec

from localagent import Stats
from localagent.errors import StartError
from localagent.supervision import Liveness, ending, report_failure
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.worker_messages import Command, Report, StartCommand, path_of
from localagent_gateway.signals import held_back

log = logging.getLogger("localagent.gateway")

LONGEST_LINE = 16 * 1024 * 1024  # statistics of thousands of instances


class WorkerProcess:
    """One worker process; it ends by itself when the supervisor ends, because its standard input closes.

    Args:
        process: The process, whose start command is sent separately.
        gather: Returns the statistics of all workers, for a worker that asks for them.

    Attributes:
        known: What the worker has reported last about its cores and plugins.
        leaving: Set when it accepts no more requests: it got a signal to end, or has ended.
        ended: Set when it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process, gather: Callable[[], Awaitable[Stats]]) -> None:
        self._process = process
        self._gather = gather
        self._gathering: set[asyncio.Task[None]] = set()
        self.known = Stats()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Report]] = {}
        self._error = ""
        self.leaving = asyncio.Event()
        self.ended = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(), name=f"watch worker {process.pid}")
        self._watching.add_done_callback(report_failure(log))

    @classmethod
    async def start(cls, command: StartCommand, gather: Callable[[], Awaitable[Stats]]) -> Self:
        """Start a process; ``ready`` waits until it serves. ``gather`` is as for the class.

        Raises:
            StartError: The system cannot start a process.
        """
        try:
            # -P: the worker must not import modules from the current folder.
            # A process group of its own: the signals of a terminal to its foreground group are for the supervisor.
            with held_back():
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "localagent_gateway.processes.worker_main",
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
                    pass_fds=command.sockets, process_group=0,
                )  # fmt: skip
        except OSError as error:
            raise StartError(f"No worker could be started: {error.strerror}.") from None
        made = cls(process, gather)
        made._write(msgspec.json.encode(command))
        return made

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ending(self) -> str:
        """How the process ended, such as ``signal SIGKILL`` or ``exit status 1``."""
        return ending(self._process.returncode or 0)

    async def ready(self, seconds: float) -> None:
        """Wait until the process serves.

        Args:
            seconds: The timeout.

        Raises:
            StartError: The process has ended, or does not serve in time.
        """
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._ready)
        except TimeoutError:
            raise StartError(
                f"A worker did not start to serve within {seconds:g} s.",
                hint="Raise start_timeout in [plugins.gateway] if it needs longer.",
            ) from None

    async def unresponsive(self, liveness: Liveness) -> None:
        """Return when the process has not answered for so long that it counts as gone: it was stopped, or hangs."""
        pause = liveness.every
        while not liveness.gone:
            await asyncio.sleep(pause)
            pause = liveness.heard(await self._asked_in_time(Command("ping"), liveness.patience) is not None)

    def drain(self, *, linger: bool) -> None:
        """Tell the process to shut down gracefully; ``ended`` is set when it has."""
        self._write(msgspec.json.encode(Command("drain", linger=linger)))

    async def stats(self, seconds: float) -> dict[str, Any] | None:
        """Return the process's statistics; None if it does not answer in time."""
        report = await self._asked_in_time(Command("stats"), seconds)
        return report.stats if report is not None else None

    async def _asked_in_time(self, command: Command, seconds: float) -> Report | None:
        number, answer = self._question()
        self._write(msgspec.json.encode(msgspec.structs.replace(command, id=number)))
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._asked.pop(number, None)

    async def reload(self, configuration: Configuration, seconds: float) -> asyncio.Future[Report]:
        """Switch the process to another configuration; return when it uses that.

        Args:
            configuration: The new configuration.
            seconds: The timeout. A worker gives up by itself earlier, unless it hangs.

        Returns:
            A future that is done when the requests of the old configuration, or the process, have ended.

        Raises:
            StartError: The process keeps its old configuration, or has ended.
        """
        then, retired = self._question()
        command = Command(
            "reload",
            then=then,
            path=path_of(configuration),
            text=configuration.file.text,
            shared=dict(configuration.shared),
        )
        report = await self._asked_in_time(command, seconds)
        error = f"It did not answer within {seconds:g} s." if report is None else report.error
        if error:
            self._asked.pop(then, None)
            raise StartError(error)
        return retired

    def _question(self) -> tuple[int, asyncio.Future[Report]]:
        """Return the number of a new question, and a future for its answer; the process's end is an answer, too."""
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            answer.set_result(Report(error="The worker has ended."))
        else:
            self._asked[number] = answer
        return number, answer

    async def kill(self) -> None:
        """Kill the process, and return when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.ended.wait()

    def _write(self, line: bytes) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line + b"\n")

    async def _watch(self) -> None:
        try:
            await self._listen()
            await self._process.wait()
        finally:  # in any case: a caller that waits for its end must not wait for ever
            for task in self._gathering:
                task.cancel()
            if not self._ready.done():
                self._ready.set_exception(StartError(self._error or f"A worker ended at its start with {self.ending}."))
                self._ready.exception()  # marked as retrieved: nobody has to wait for it
            self.leaving.set()
            self.ended.set()
            for number in list(self._asked):
                self._hear(Report(id=number, error="The worker has ended."))

    async def _listen(self) -> None:
        """Read the process's reports until it closes its standard output."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        try:
            while line := await self._process.stdout.readline():
                self._hear(msgspec.json.decode(line, type=Report))
        except (ValueError, msgspec.MsgspecError):  # an endless or invalid line: it no longer acts as a worker
            self._process.kill()
        self._process.stdin.close()

    async def _answer_gather(self, number: int) -> None:
        samples = (await self._gather()).to_builtins()
        self._write(msgspec.json.encode(Command("gathered", id=number, samples=samples)))

    def _hear(self, report: Report) -> None:
        if report.samples is not None:
            self.known = Stats.from_builtins(report.samples)
        if report.gather:
            task = asyncio.create_task(self._answer_gather(report.gather), name=f"gather for worker {self.pid}")
            self._gathering.add(task)
            task.add_done_callback(self._gathering.discard)
            task.add_done_callback(report_failure(log))
            return
        if report.id:
            asked = self._asked.pop(report.id, None)
            if asked is not None and not asked.done():
                asked.set_result(report)
            return
        if report.leaving:
            self.leaving.set()
        self._error = report.error or self._error
        if report.ready and not self._ready.done():
            self._ready.set_result(None)
