"""Several workers: one process binds, and hands the listening sockets to worker processes, which it keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from localagent import LocalAgentError
from localagent.supervision import tell_failure
from localagent_gateway.errors import PartlyDone
from localagent_gateway.processes.no_worker import NoWorker
from localagent_gateway.processes.order import order
from localagent_gateway.processes.reloading import RELOADED, REPLACED, obeying
from localagent_gateway.processes.serving import Serving
from localagent_gateway.processes.shared_parts import SharedParts
from localagent_gateway.processes.signals import Signals
from localagent_gateway.processes.slot import Slot
from localagent_gateway.processes.worker_process import WorkerProcess

log = logging.getLogger("localagent.gateway")

GRACE_SECONDS = 15.0  # beyond what its settings allow a worker for its drain, before it is killed
ASK_SECONDS = 5.0


class Supervisor:
    """The workers of one ``localagent serve``; an async context manager that leaves none behind.

    Args:
        serving: What is served; its lease is given back by ``start``.
        sockets: Where the workers listen.
        parts: What runs once for all workers.
    """

    def __init__(self, serving: Serving, sockets: Sequence[socket.socket], parts: SharedParts) -> None:
        self._serving = serving
        self._sockets = sockets
        self._parts = parts
        self._slots: list[Slot] = []
        self._alive: set[WorkerProcess] = set()
        self._keeping: list[asyncio.Task[None]] = []
        self._no_worker = NoWorker(sockets)
        self._background: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._keep_no_longer()
        for task in self._background:
            task.cancel()
        await self._no_worker.switch(False)
        await asyncio.gather(*(process.kill() for process in self._living()))

    async def start(self) -> None:
        """Start all workers, and return when they serve.

        Raises:
            StartError: One of them does not.
        """
        self._serving = await self._serving.with_shared(self._parts)
        self._slots = [
            Slot(number, self._serving, self._start, self._see_off, parts=self._parts, on_change=self._changed)
            for number in range(1, self._serving.workers + 1)
        ]
        self._parts.release(self._serving.lease)  # each place holds it
        await asyncio.gather(*(slot.replace() for slot in self._slots))
        self._keeping = [asyncio.create_task(slot.keep(), name=f"keep worker {slot.number}") for slot in self._slots]
        for task in self._keeping:
            task.add_done_callback(tell_failure(log))

    async def reload(self) -> None:
        """Read the settings again, and have the workers answer by them, one after the other.

        Raises:
            SettingsError: The settings are wrong; nothing was changed.
            StartError: The first worker stays with the settings before, and so do all.
            PartlyDone: A later one stays with the settings before.
        """
        new = await self._serving.again().with_shared(self._parts)
        try:
            for slot in self._slots:
                with partly(slot.number, "The settings were read again by", "stays with those before"):
                    await slot.reload(new, proven=self._serving is new)
                self._serving = new
        finally:
            self._parts.release(new.lease)  # each place that answers by it holds it

    async def replace(self) -> None:
        """Replace the workers by new processes: one after the other, each once its successor serves.

        No settings are read: each new process gets those in force.

        Raises:
            StartError: The first new worker does not serve; all stay.
            PartlyDone: A later one does not serve; those that were not replaced yet stay.
        """
        serving = {slot.process for slot in self._slots}
        leaving = [process.ended.wait() for process in self._living() if process not in serving]
        await asyncio.gather(*leaving)  # so that there are never more than two processes a slot
        for slot in self._slots:
            with partly(slot.number, "Replaced:", "stays"):
                old = await slot.replace()
            if old is not None:
                old.drain(linger=True)

    def _see_off(self, process: WorkerProcess) -> None:
        """Kill a process that takes in no more, should it not end in time."""
        self._begin(self._seen_off(process), f"see off worker {process.pid}")

    def _changed(self) -> None:
        """Answer in the workers' place when a start has failed and none serves; stop when one does."""
        if self._keeping:
            alone = not any(slot.serves for slot in self._slots)
            self._begin(self._no_worker.switch(alone), "answer in the workers' place")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(tell_failure(log))

    async def _seen_off(self, process: WorkerProcess) -> None:
        own = self._serving.gateway
        seconds = own.drain_delay + 2 * own.drain_timeout + own.header_timeout + GRACE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await process.ended.wait()
        except TimeoutError:
            log.warning("A worker that was replaced (process %d) did not end in time. It is killed.", process.pid)
            await process.kill()

    async def drain(self) -> None:
        """End all workers in good order; one that does not end in time is killed."""
        await self._keep_no_longer()
        await self._no_worker.switch(False)
        for sock in self._sockets:
            sock.close()  # the workers have their own copies; the last one's end closes the port
        living = self._living()
        for process in living:
            process.drain(linger=False)
        try:
            own = self._serving.gateway
            async with asyncio.timeout(own.drain_delay + own.drain_timeout + GRACE_SECONDS):
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

    async def _start(self, number: int, serving: Serving) -> WorkerProcess:
        process = await WorkerProcess.start(order(serving, number, [sock.fileno() for sock in self._sockets]))
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


async def supervise(serving: Serving, sockets: Sequence[socket.socket], signals: Signals) -> bool:
    """Serve with several workers until a signal ends it; arguments and result as in ``lone_worker.serve_alone``."""
    with signals.on_loop():
        async with SharedParts() as parts, Supervisor(serving, sockets, parts) as supervisor:
            if not await signals.unless_ending(supervisor.start()):
                return True
            async with serving.told(sockets, supervisor.figures):
                async with (
                    obeying(signals.reload, supervisor.reload, **RELOADED),
                    obeying(signals.replace, supervisor.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(supervisor.drain())
