"""One worker's place: there is always a process in it; one that died is started again, one that is old replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from localagent.errors import LocalAgentError
from localagent_gateway.order import Report
from localagent_gateway.worker_process import WorkerProcess

log = logging.getLogger("localagent.gateway")

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
SETTLED_SECONDS = 60.0


def restart_delay(deaths: int) -> float:
    """Return how many seconds to wait before a worker is started again: 0.1, doubled for each death in a row, to 30.

    Args:
        deaths: Deaths in a row, at least 1.
    """
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(deaths - 1, 16))


class Slot:
    """A place.

    Args:
        number: Its number, from 1.
        start: Starts a process for it.
    """

    def __init__(self, number: int, start: Callable[[int], Awaitable[WorkerProcess]]) -> None:
        self.number = number
        self._start = start
        self._changing = asyncio.Lock()
        self._process: WorkerProcess | None = None
        self._deaths = 0

    @property
    def process(self) -> WorkerProcess | None:
        """The process that serves here; None before the first."""
        return self._process

    async def replace(self) -> WorkerProcess | None:
        """Put a new process here, once it serves; return the one before, which still takes in requests.

        Raises:
            StartError: The new one does not serve; the one before stays.
        """
        async with self._changing:
            new = await self._started()
            old, self._process = self._process, new
            return old

    async def reload(self, shared: Mapping[str, str]) -> asyncio.Future[Report] | None:
        """Have the process here read the settings again; arguments, result and errors as in ``WorkerProcess.reload``.

        Returns:
            None where there is none that could: the next one reads the settings when it starts.
        """
        async with self._changing:
            process = self._process
            if process is None or process.ended.is_set():
                return None
            return await process.reload(shared)

    async def keep(self) -> None:
        """Start a process again whenever the one here has died; runs until it is cancelled."""
        while True:
            process = self._process
            assert process is not None
            since = asyncio.get_running_loop().time()
            await process.ended.wait()
            if process is self._process:
                settled = asyncio.get_running_loop().time() - since > SETTLED_SECONDS
                self._deaths = 1 if settled else self._deaths + 1
                await self._again(process)

    async def _again(self, dead: WorkerProcess) -> None:
        delay = restart_delay(self._deaths)
        log.warning("Worker %d ended with %s. It is started again in %.1f s.", self.number, dead.ending, delay)
        await asyncio.sleep(delay)
        async with self._changing:
            if self._process is not dead:
                return  # it was replaced meanwhile
            try:
                self._process = await self._started()
            except LocalAgentError as error:
                log.warning("Worker %d cannot be started: %s", self.number, error)

    async def _started(self) -> WorkerProcess:
        process = await self._start(self.number)
        try:
            await process.ready()
        except BaseException:
            await process.kill()
            raise
        return process
