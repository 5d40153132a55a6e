"""A worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from localagent import StartError
from localagent_gateway.order import Command, Order, Report

LONGEST_LINE = 16 * 1024 * 1024  # figures of thousands of instances


class WorkerProcess:
    """One process; it ends itself when this one ends, because its standard input closes.

    Args:
        process: The process, which has its order.

    Attributes:
        ended: Set when it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Report]] = {}
        self._error = ""
        self._watching = asyncio.create_task(self._watch(), name=f"watch worker {process.pid}")
        self.ended = asyncio.Event()

    @classmethod
    async def start(cls, order: Order) -> Self:
        """Start a process; ``ready`` says when it serves.

        Raises:
            StartError: The system starts no more processes.
        """
        try:
            # -P: no folder that merely happens to be the current one may lend the worker its modules.
            # A process group of its own: what a terminal sends to its foreground group is for the supervisor.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "localagent_gateway.child",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
                pass_fds=order.sockets, process_group=0,
            )  # fmt: skip
        except OSError as error:
            raise StartError(f"No worker could be started: {error.strerror}.") from None
        made = cls(process)
        made._write(msgspec.json.encode(order))
        return made

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ending(self) -> str:
        """How it ended, such as ``signal SIGKILL`` or ``exit status 1``."""
        code = self._process.returncode or 0
        return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    async def ready(self) -> None:
        """Wait until it serves.

        Raises:
            StartError: It ended before.
        """
        await asyncio.shield(self._ready)

    def drain(self, *, linger: bool) -> None:
        """Tell it to end in good order; ``ended`` says when it has."""
        self._write(msgspec.json.encode(Command("drain", linger=linger)))

    async def figures(self, seconds: float) -> dict[str, Any] | None:
        """Return how things stand there; None when it does not say so in time."""
        number, answer = self._question()
        self._write(msgspec.json.encode(Command("figures", id=number)))
        try:
            async with asyncio.timeout(seconds):
                return (await answer).figures
        except TimeoutError:
            return None
        finally:
            self._asked.pop(number, None)

    async def reload(self, shared: Mapping[str, str]) -> asyncio.Future[Report]:
        """Have it read the settings again; return when it answers by them.

        Args:
            shared: As in ``Order``.

        Returns:
            What is done when the requests of the settings before have ended, or the process has.

        Raises:
            StartError: It stays with the settings before, or has ended.
        """
        number, answer = self._question()
        then, retired = self._question()
        self._write(msgspec.json.encode(Command("reload", id=number, then=then, shared=dict(shared))))
        error = (await answer).error
        if error:
            self._asked.pop(then, None)
            raise StartError(error)
        return retired

    def _question(self) -> tuple[int, asyncio.Future[Report]]:
        """Return the number of a new question, and what its answer comes to; its end is an answer, too."""
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            answer.set_result(Report(error="The worker has ended."))
        else:
            self._asked[number] = answer
        return number, answer

    async def kill(self) -> None:
        """End it at once, and return when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self._watching)

    def _write(self, line: bytes) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line + b"\n")

    async def _watch(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, msgspec.MsgspecError):  # a line without end: it is no worker any more
            while line := await self._process.stdout.readline():
                self._hear(msgspec.json.decode(line, type=Report))
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(StartError(self._error or f"A worker ended at its start with {self.ending}."))
            self._ready.exception()  # whoever waits is told; that nobody does is no defect
        self.ended.set()
        for number in list(self._asked):
            self._hear(Report(id=number, error="The worker has ended."))

    def _hear(self, report: Report) -> None:
        if report.id:
            asked = self._asked.pop(report.id, None)
            if asked is not None and not asked.done():
                asked.set_result(report)
            return
        self._error = report.error or self._error
        if report.ready and not self._ready.done():
            self._ready.set_result(None)
