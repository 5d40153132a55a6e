"""Several workers: one process binds the sockets, passes them to worker processes, and keeps these running."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from localagent import Stats
from localagent.reporting import process_samples
from localagent.supervision import report_failure
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.reloading import RELOADED, REPLACED, acting_on, partly
from localagent_gateway.processes.shared_resources import SharedResources
from localagent_gateway.processes.worker_messages import start_command
from localagent_gateway.processes.worker_process import WorkerProcess
from localagent_gateway.processes.worker_restarts import WorkerSlot
from localagent_gateway.signals import Signals

log = logging.getLogger("localagent.gateway")

GRACE_SECONDS = 15.0  # added to the time that the settings allow for a drain, before a worker is killed
ASK_SECONDS = 5.0


class Supervisor:
    """The workers of one ``localagent serve``; an async context manager that ends all of them.

    Args:
        configuration: The configuration; ``start`` releases its lease.
        sockets: The sockets on which the workers listen.
        resources: The resources that run once for all workers.
    """

    def __init__(
        self, configuration: Configuration, sockets: Sequence[socket.socket], resources: SharedResources
    ) -> None:
        self._configuration = configuration
        self._sockets = sockets
        self._resources = resources
        self._slots: list[WorkerSlot] = []
        self._alive: set[WorkerProcess] = set()
        self._keeping: list[asyncio.Task[None]] = []
        self._listener = NoWorkerListener(sockets)
        self._background: set[asyncio.Task[None]] = set()
        self._ended = Stats()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._keep_no_longer()
        for task in self._background:
            task.cancel()
        await self._listener.switch(False)
        await asyncio.gather(*(process.kill() for process in self._living()))

    async def start(self) -> None:
        """Start all workers, and return when they serve.

        Raises:
            StartError: One of them does not serve.
        """
        self._configuration = await self._configuration.with_shared(self._resources)
        self._slots = [
            WorkerSlot(
                number,
                self._configuration,
                self._start,
                self._see_off,
                resources=self._resources,
                on_change=self._changed,
            )
            for number in range(1, self._configuration.workers + 1)
        ]
        self._resources.release(self._configuration.lease)  # each slot holds it
        await asyncio.gather(*(slot.replace() for slot in self._slots))
        self._keeping = [asyncio.create_task(slot.keep(), name=f"keep worker {slot.number}") for slot in self._slots]
        for task in self._keeping:
            task.add_done_callback(report_failure(log))

    async def reload(self) -> None:
        """Read the settings again, and switch the workers to them, one after the other.

        Raises:
            SettingsError: The settings are wrong; nothing was changed.
            StartError: The first worker keeps the old settings, and so do all others.
            PartlyDone: A later worker keeps the old settings.
        """
        new = await self._configuration.again().with_shared(self._resources)
        try:
            for slot in self._slots:
                with partly(slot.number, "The settings were read again by", "keeps the previous ones"):
                    await slot.reload(new, proven=self._configuration is new)
                self._configuration = new
        finally:
            self._resources.release(new.lease)  # each slot that uses it holds it

    async def replace(self) -> None:
        """Replace the workers with new processes, one after the other, each as soon as its successor serves.

        The settings are not read again: each new process gets those in force.

        Raises:
            StartError: The first new worker does not serve; all old ones stay.
            PartlyDone: A later one does not serve; the workers that were not replaced yet stay.
        """
        current = {slot.process for slot in self._slots}
        leaving = [process.ended.wait() for process in self._living() if process not in current]
        await asyncio.gather(*leaving)  # at most two processes per slot
        for slot in self._slots:
            with partly(slot.number, "Replaced:", "was not replaced"):
                old = await slot.replace()
            if old is not None:
                old.drain(linger=True)

    def _see_off(self, process: WorkerProcess) -> None:
        """Kill a process that accepts no more requests if it does not end in time."""
        self._begin(self._seen_off(process), f"see off worker {process.pid}")

    def _changed(self) -> None:
        """Answer for the workers when a start has failed and none serves; stop when one does."""
        if self._keeping:
            alone = not any(slot.serves for slot in self._slots)
            self._begin(self._listener.switch(alone), "answer for the workers")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(report_failure(log))

    async def _seen_off(self, process: WorkerProcess) -> None:
        own = self._configuration.gateway
        seconds = own.drain_delay + 2 * own.drain_timeout + own.header_timeout + GRACE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await process.ended.wait()
        except TimeoutError:
            log.warning("A replaced worker (process %d) did not end in time. It is killed.", process.pid)
            await process.kill()

    async def drain(self) -> None:
        """Shut down all workers gracefully; kill those that do not end in time."""
        await self._keep_no_longer()
        await self._listener.switch(False)
        for sock in self._sockets:
            sock.close()  # the workers have their own copies; the last one's end closes the port
        living = self._living()
        for process in living:
            process.drain(linger=False)
        try:
            own = self._configuration.gateway
            async with asyncio.timeout(own.drain_delay + own.drain_timeout + GRACE_SECONDS):
                await asyncio.gather(*(process.ended.wait() for process in living))
        except TimeoutError:
            return  # the context kills the rest

    async def gather_stats(self) -> Stats:
        """Return the statistics of all workers, summed up.

        Those that have ended, and those that do not answer, count with their last report; so counters do not fall.
        """
        await self._ask_all()
        return self._totals()

    async def _ask_all(self) -> list[tuple[WorkerProcess, dict[str, Any] | None]]:
        """Ask every living worker for its statistics; None for one that does not answer in time."""
        living = self._living()
        answers = await asyncio.gather(*(process.stats(ASK_SECONDS) for process in living))
        return list(zip(living, answers, strict=True))

    def _totals(self) -> Stats:
        living = self._living()
        totals = Stats(self._ended)
        totals.merge(process_samples(asyncio.get_running_loop()))
        for process in living:
            totals.merge(process.known)
        return totals

    async def stats(self) -> dict[str, Any]:
        """Return the statistics of every worker that answers, the process ids of the others, and the totals."""
        asked = await self._ask_all()
        known = sorted((answer for _, answer in asked if answer is not None), key=lambda answer: answer["worker"])
        silent = [process.pid for process, answer in asked if answer is None]
        return {"workers": known, "silent": silent, "stats": self._totals().to_builtins()}

    def _living(self) -> list[WorkerProcess]:
        for process in [process for process in self._alive if process.ended.is_set()]:
            self._alive.remove(process)
            self._ended.merge(process.known.counted())
        return list(self._alive)

    async def _keep_no_longer(self) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _start(self, number: int, configuration: Configuration) -> WorkerProcess:
        process = await WorkerProcess.start(
            start_command(configuration, number, [sock.fileno() for sock in self._sockets]), self.gather_stats
        )
        self._alive.add(process)
        return process


async def supervise(configuration: Configuration, sockets: Sequence[socket.socket], signals: Signals) -> bool:
    """Serve with several workers until a signal ends it; arguments and result as in ``serve_command.serve_alone``."""
    with signals.on_loop():
        async with SharedResources() as resources, Supervisor(configuration, sockets, resources) as supervisor:
            if not await signals.unless_ending(supervisor.start()):
                return True
            async with configuration.announced(sockets, supervisor.stats):
                async with (
                    acting_on(signals.reload, supervisor.reload, **RELOADED),
                    acting_on(signals.replace, supervisor.replace, **REPLACED),
                ):
                    await signals.ending.wait()
                return await signals.unless_now(supervisor.drain())


LINGER_SECONDS = 2.0  # for a client to read the answer, even if it is still sending
BODY = b'{"error": {"message": "No worker can be started now.", "type": "server_error", "code": "no_worker"}}'
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class NoWorkerListener:
    """Accepts connections and answers 503 while no worker serves.

    Args:
        sockets: The sockets on which the workers listen.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._listeners: list[asyncio.Server] = []
        self._opening = asyncio.Lock()

    async def switch(self, answers: bool) -> None:
        """Start to answer, or stop."""
        async with self._opening:
            if answers and not self._listeners:
                loop = asyncio.get_running_loop()
                for sock in self._sockets:
                    self._listeners.append(await loop.create_server(_Refusal, sock=sock.dup()))
            elif not answers:
                for listener in self._listeners:
                    listener.close()
                self._listeners = []


class _Refusal(asyncio.Protocol):
    """Answers the first bytes of a connection, whatever they are, and closes it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._answered = False
        self._closing = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._answered:
            self._answered = True
            self._transport.write(ANSWER)
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing.cancel()
