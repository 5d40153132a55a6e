"""Several workers: one process binds, and hands the listening sockets to worker processes, which it keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import attrs

from localagent import LocalAgentError
from localagent_gateway.errors import PartlyDone
from localagent_gateway.order import Report, order
from localagent_gateway.reloading import RELOADED, REPLACED, obeying
from localagent_gateway.serving import Serving
from localagent_gateway.settings import GatewaySettings
from localagent_gateway.shared_parts import SharedParts
from localagent_gateway.signals import Signals
from localagent_gateway.slot import Slot
from localagent_gateway.worker_process import WorkerProcess

GRACE_SECONDS = 15.0  # beyond what its settings allow a worker for its drain, before it is killed
ASK_SECONDS = 5.0


class Supervisor:
    """The workers of one ``localagent serve``; an async context manager that leaves none behind.

    Args:
        serving: What was asked for on the command line.
        settings: The gateway's settings.
        sockets: Where the workers listen.
        parts: What runs once for all workers.
    """

    def __init__(
        self, serving: Serving, settings: GatewaySettings, sockets: Sequence[socket.socket], parts: SharedParts
    ) -> None:
        self._serving = attrs.evolve(serving, workers=settings.workers)
        self._settings = settings
        self._sockets = sockets
        self._parts = parts
        self._slots = [Slot(number, self._start) for number in range(1, settings.workers + 1)]
        self._alive: set[WorkerProcess] = set()
        self._keeping: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._keep_no_longer()
        await asyncio.gather(*(process.kill() for process in self._living()))

    async def start(self) -> None:
        """Start all workers, and return when they serve.

        Raises:
            StartError: One of them does not.
        """
        self._serving = await self._serving.with_shared(self._parts)
        await asyncio.gather(*(slot.replace() for slot in self._slots))
        self._keeping = [asyncio.create_task(slot.keep(), name=f"keep worker {slot.number}") for slot in self._slots]

    async def reload(self) -> None:
        """Have the workers read the settings again, one after the other.

        Raises:
            SettingsError: The settings are wrong; nothing was changed.
            StartError: The first worker stays with the settings before, and so do all.
            PartlyDone: A later one stays with the settings before.
        """
        settings = self._serving.settings()
        self._serving = await self._serving.with_shared(self._parts)
        retired: list[asyncio.Future[Report]] = []
        for slot in self._slots:
            with partly(slot.number, "The settings were read again by", "stays with those before"):
                old = await slot.reload(self._serving.shared)
            if old is not None:
                retired.append(old)
        self._settings = settings
        self._parts.drop_others_after(asyncio.gather(*retired))

    async def replace(self) -> None:
        """Replace the workers by new processes: one after the other, each once its successor serves.

        Raises:
            SettingsError: The settings are wrong; no worker was replaced.
            StartError: The first new worker does not serve; all stay.
            PartlyDone: A later one does not serve; those that were not replaced yet stay.
        """
        self._settings = self._serving.settings()
        serving = {slot.process for slot in self._slots}
        leaving = [process.ended.wait() for process in self._living() if process not in serving]
        await asyncio.gather(*leaving)  # so that there are never more than two processes a slot
        self._serving = await self._serving.with_shared(self._parts)
        olds: list[WorkerProcess] = []
        for slot in self._slots:
            with partly(slot.number, "Replaced:", "stays"):
                old = await self._replaced(slot)
            if old is not None:
                olds.append(old)
        self._parts.drop_others_after(asyncio.gather(*(old.ended.wait() for old in olds)))

    async def _replaced(self, slot: Slot) -> WorkerProcess | None:
        old = await slot.replace()
        if old is not None:
            old.drain(linger=True)
        return old

    async def drain(self) -> None:
        """End all workers in good order; one that does not end in time is killed."""
        await self._keep_no_longer()
        for sock in self._sockets:
            sock.close()  # the workers have their own copies; the last one's end closes the port
        living = self._living()
        for process in living:
            process.drain(linger=False)
        try:
            async with asyncio.timeout(self._settings.drain_delay + self._settings.drain_timeout + GRACE_SECONDS):
                await asyncio.gather(*(process.ended.wait() for process in living))
        except TimeoutError:
            return  # the context kills what is left

    async def figures(self) -> dict[str, Any]:
        """Return how things stand in every worker that answers, and which ones do not."""
        living = self._living()
        answers = await asyncio.gather(*(process.figures(ASK_SECONDS) for process in living))
        known = sorted((answer for answer in answers if answer is not None), key=lambda answer: answer["worker"])
        silent = [process.pid for process, answer in zip(living, answers, strict=True) if answer is None]
        return {"workers": known, "silent": silent}

    def _living(self) -> list[WorkerProcess]:
        self._alive = {process for process in self._alive if not process.ended.is_set()}
        return list(self._alive)

    async def _keep_no_longer(self) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _start(self, number: int) -> WorkerProcess:
        process = await WorkerProcess.start(order(self._serving, number, [sock.fileno() for sock in self._sockets]))
        self._alive.add(process)
        return process


@contextlib.contextmanager
def partly(number: int, done: str, failed: str) -> Iterator[None]:
    """Say what becomes of workers when one cannot follow those before it.

    Args:
        number: Its number; those before it are done.
        done: What is said of them.
        failed: What is said of this one.

    Raises:
        PartlyDone: In the place of what was raised, unless it is the first.
    """
    try:
        yield
    except LocalAgentError as error:
        if number == 1:
            raise
        others = "worker 1" if number == 2 else f"workers 1 to {number - 1}"
        raise PartlyDone(f"{done} {others}; worker {number} {failed}: {error.message}", mend=error.mend) from error


async def supervise(serving: Serving, settings: GatewaySettings, sockets: Sequence[socket.socket]) -> bool:
    """Serve with several workers until a signal ends it; arguments and result as in ``lone_worker.serve_alone``."""
    with Signals() as signals:
        async with SharedParts() as parts, Supervisor(serving, settings, sockets, parts) as supervisor:
            if not await signals.unless_ending(supervisor.start()):
                return True
            async with serving.told(sockets, supervisor.figures):
                async with (
                    obeying(signals.reload, supervisor.reload, **RELOADED),
                    obeying(signals.replace, supervisor.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(supervisor.drain())
