"""Keeps a process running for each worker: restarts one that died or hangs, and replaces an old one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import attrs

from localagent.errors import LocalAgentError, StartError
from localagent.supervision import Liveness, raised_at
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.shared_resources import SharedResources
from localagent_gateway.processes.worker_process import WorkerProcess

log = logging.getLogger("localagent.gateway")

HANG_SECONDS = 5.0  # added to the time after which a worker gives up a reload by itself

Start = Callable[[int, Configuration], Awaitable[WorkerProcess]]
SeeOff = Callable[[WorkerProcess], None]


class WorkerSlot:
    """The slot of one worker; one process after the other runs in it.

    Args:
        number: Its number, from 1.
        configuration: The configuration of its processes; the slot holds the lease.
        start: Starts a process for it.
        see_off: Kills a process that accepts no more requests if it does not end in time.
        on_change: Called when a start has failed here, and when a process has started to serve.
        resources: The resources that run once for all workers.

    Attributes:
        number: Its number.
        configuration: The configuration in force here. Each new process gets it, even if the settings file has changed
            since.
        process: The process that serves here; None before the first.
    """

    def __init__(
        self,
        number: int,
        configuration: Configuration,
        start: Start,
        see_off: SeeOff,
        *,
        resources: SharedResources,
        on_change: Callable[[], object],
    ) -> None:
        self.number = number
        self.configuration = configuration
        self.process: WorkerProcess | None = None
        self._start = start
        self._see_off = see_off
        self._resources = resources
        self._on_change = on_change
        self._restarts = Restarts()
        self._changed = asyncio.Event()
        resources.hold(configuration.lease)

    @property
    def serves(self) -> bool:
        """Whether the slot has a process that accepts requests."""
        return self.process is not None and not self.process.leaving.is_set()

    async def replace(self) -> WorkerProcess | None:
        """Replace the process as soon as a new one serves; return the old one, which still accepts requests.

        Raises:
            StartError: The new process does not serve; the old one stays.
        """
        new = await self._started()
        old = self.process
        self._put(new)
        return old

    async def reload(self, configuration: Configuration, *, proven: bool) -> None:
        """Switch the process to another configuration, which is then in force in this slot.

        If no process is alive, the next one gets it.

        Args:
            configuration: The new configuration.
            proven: Whether another worker already uses it: then it is not the reason if a process ends meanwhile.

        Raises:
            StartError: The process keeps its old configuration.
        """
        asked, retired = None, None
        while asked is not self.process:  # once, unless the process is replaced meanwhile
            asked = self.process
            if asked is not None and not asked.ended.is_set():
                retired = await self._reload(asked, configuration, proven)
        self._adopt(configuration, retired)

    async def _reload(
        self, process: WorkerProcess, configuration: Configuration, proven: bool
    ) -> Awaitable[object] | None:
        try:
            retired = await process.reload(configuration, configuration.gateway.start_timeout + HANG_SECONDS)
        except StartError:
            if proven and process.ended.is_set():
                return None
            raise
        if process is not self.process:
            self._let_go(process, configuration)
        return retired

    def _adopt(self, configuration: Configuration, retired: Awaitable[object] | None) -> None:
        self._resources.hold(configuration.lease)
        old, self.configuration = self.configuration, configuration
        if retired is None:
            self._resources.release(old.lease)
        else:
            self._resources.release_after(old.lease, retired)

    def _put(self, process: WorkerProcess) -> None:
        if self.process is not None:
            self._let_go(self.process, self.configuration)
        self.process = process
        self._changed.set()
        self._changed = asyncio.Event()
        self._on_change()

    def _let_go(self, process: WorkerProcess, configuration: Configuration) -> None:
        """Let a replaced process finish its requests, and keep the resources that they need."""
        self._see_off(process)
        self._resources.hold(configuration.lease)
        self._resources.release_after(configuration.lease, process.ended.wait())

    async def keep(self, liveness: Callable[[], Liveness] = Liveness) -> None:
        """Restart the process whenever it has died or hangs; runs until cancelled.

        Args:
            liveness: Returns the rule for when a process counts as hanging.
        """
        while True:
            try:
                await self._keep_one(liveness())
            except Exception as error:  # our own defect: it must be logged, but not end the supervision
                log.error("Worker %d: supervision failed: %s. It continues.", self.number, raised_at(error))
                await asyncio.sleep(self._restarts.after(None))

    async def _keep_one(self, liveness: Liveness) -> None:
        process = self.process
        assert process is not None
        since = asyncio.get_running_loop().time()
        if await self._hangs(process, liveness):
            log.warning("Worker %d has not answered for %.0f s. It is killed.", self.number, liveness.longest)
            await process.kill()
        if process is self.process:
            await self._again(process, asyncio.get_running_loop().time() - since)

    async def _hangs(self, process: WorkerProcess, liveness: Liveness) -> bool:
        """Wait until a process ends, is replaced, or hangs; return whether it hangs."""
        hanging = asyncio.create_task(process.unresponsive(liveness), name=f"ask worker {process.pid} how it is")
        leaving = asyncio.create_task(process.leaving.wait(), name=f"wait for the end of worker {process.pid}")
        replaced = asyncio.create_task(self._changed.wait(), name=f"wait for a successor of worker {process.pid}")
        waiting = (hanging, leaving, replaced)
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() or replaced.done():
                return False
            hanging.result()
            return True
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _again(self, gone: WorkerProcess, served: float) -> None:
        """Start processes to replace one that is gone, until one serves."""
        delay = self._restarts.after(served)
        how = f"ended with {gone.ending}" if gone.ended.is_set() else "got a signal to end"
        log.warning("Worker %d %s. It is started again in %.1f s.", self.number, how, delay)
        while self.process is gone:
            await asyncio.sleep(delay)
            try:
                new = await self._started()
            except LocalAgentError as error:
                delay = self._restarts.after(None)
                log.warning("Worker %d cannot be started: %s The next try is in %.1f s.", self.number, error, delay)
                self._on_change()
                continue
            if self.process is not gone:  # it was replaced meanwhile
                await new.kill()
                return
            self._put(new)

    async def _started(self) -> WorkerProcess:
        """Start a process with the configuration in force; start again if that changes before it serves."""
        while True:
            configuration = self.configuration
            process = await self._start(self.number, configuration)
            try:
                await process.ready(configuration.gateway.start_timeout)
            except BaseException:
                await process.kill()
                raise
            if configuration is self.configuration:
                return process
            await process.kill()


FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
LONGEST_AFTER_SERVICE = 0.5  # the settings are valid: only a request that kills the worker could kill it again
SETTLED_SECONDS = 2.0


def restart_delay(deaths: int) -> float:
    """Return the seconds to wait before a worker is restarted: 0.1, doubled for each death in a row, at most 30.

    Args:
        deaths: Deaths in a row, at least 1.
    """
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(deaths - 1, 16))


@attrs.define
class Restarts:
    """Counts the deaths of the workers of one slot; pure arithmetic.

    Attributes:
        deaths: Deaths in a row of workers that did not settle.
    """

    deaths: int = 0

    def after(self, served: float | None) -> float:
        """Record a death; return the seconds to wait before the next start.

        Args:
            served: Seconds for which the worker served; None if it never started to.
        """
        self.deaths = 1 if served is not None and served >= SETTLED_SECONDS else self.deaths + 1
        delay = restart_delay(self.deaths)
        return delay if served is None else min(delay, LONGEST_AFTER_SERVICE)
