"""Keeps one model server running: starts it, waits until it is healthy, restarts it when it dies or hangs, ends it.

::

    new --start--> starting --healthy--> ready --died--> backing off --delay over--> starting
                      |                                       ^
                      +-------------died----------------------+
                      +--refused, or died three times, and never was ready--> failed
    failed --requested after a delay--> starting
    any --aclose--> closed

A server that was ready once is restarted until it succeeds: its model can be loaded, so the problem may pass. One that
never was is tried again on a request, at first soon, then after increasing delays.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from localagent import LocalAgentError, Secret
from localagent.errors import Draining, StartError, UpstreamServerError
from localagent.supervision import Liveness, raised_at
from localagent.timing import in_thread
from localagent_provider_llamacpp.backoff import Backoff
from localagent_provider_llamacpp.forks import let_go_in_copies
from localagent_provider_llamacpp.loading import Endpoint, Loading, order, until_gone
from localagent_provider_llamacpp.models import find_model, is_remote
from localagent_provider_llamacpp.process import ModelProcess
from localagent_provider_llamacpp.settings import ModelServerSettings

State = Literal["new", "starting", "ready", "backing off", "failed", "closed"]
T = TypeVar("T")

FIRST_TRIES = 3  # consecutive deaths after which a server that never was ready is given up for a while

_log = logging.getLogger(__name__)


class ModelServer:
    """Keeps one model server running; an async context manager that starts and closes it.

    It belongs to the loop that started it; ``ready`` and ``aclose`` may be called from any other loop. In a forked
    copy of the process it is closed: the copy neither keeps the server alive nor ends it.

    Args:
        settings: The settings of the server.
        on_change: Called with the new endpoint when the server becomes ready, with None when it no longer is.
        on_progress: Called with a short message while the model loads.
        backoff: The delays between restarts.
        clock: Returns monotonic seconds.
        sleep: Waits between restarts.
        chance: Returns random numbers from 0 to 1, for the jitter.
        liveness: Returns the object that decides when a server that does not answer counts as gone.

    Attributes:
        settings: The settings of the server.
        last_error: How the last process ended or failed to start; None before the first failure.
        restarts: Number of processes that were started after the first one.
    """

    def __init__(
        self,
        settings: ModelServerSettings,
        *,
        on_change: Callable[[Endpoint | None], object] | None = None,
        on_progress: Callable[[str], object] | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        liveness: Callable[[], Liveness] = Liveness,
    ) -> None:
        self.settings = settings
        self.last_error: LocalAgentError | None = None
        self.restarts = 0
        self._on_change, self._on_progress = on_change, on_progress
        self._backoff = backoff or Backoff()
        self._clock, self._sleep, self._chance, self._liveness = clock, sleep, chance, liveness
        self._state: State = "new"
        self._endpoint: Endpoint | None = None
        self._was_ready = False
        self._given_up = 0
        self._again_at = 0.0
        self._path = Path()
        self._process: ModelProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_copy = False
        self._news = asyncio.Event()
        let_go_in_copies(self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def let_go(self) -> None:
        """Mark it as closed in a forked copy of the process."""
        self._in_copy = True

    @property
    def state(self) -> State:
        """The current state of the server."""
        return "closed" if self._in_copy else self._state

    @property
    def endpoint(self) -> Endpoint | None:
        """The server's endpoint; None while it is not ready."""
        return self._endpoint if self.state == "ready" else None

    @property
    def pid(self) -> int | None:
        """The id of the process that loads or serves the model; None if there is no process."""
        return self._process.pid if self._process and self.state in {"starting", "ready"} else None

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of llama.cpp's log, at most 50, none of which quotes a request."""
        return self._process.log.lines() if self._process else ()

    async def start(self) -> None:
        """Find the model and begin to load it; return before it is loaded. May be called again.

        Raises:
            SettingsError: The model does not exist, or its file is not valid; no process was started.
            Draining: The server was closed.
        """
        if self.state == "closed":
            raise Draining("The model server is closed.")
        if self._task is None:
            await self._begin(FIRST_TRIES)
        elif self.state == "failed" and self._clock() >= self._again_at:
            await self._at_home(partial(self._begin, 1))

    async def ready(self) -> Endpoint:
        """Wait until the server is healthy, without a timeout; start it if it is not running.

        Returns:
            The server's endpoint.

        Raises:
            LocalAgentError: It cannot be started (``last_error``), or it was closed (``Draining``).
        """
        await self.start()
        return await self._at_home(self._until_ready)

    async def left(self, endpoint: Endpoint) -> None:
        """Return once the server no longer has this endpoint; call it on the loop that started the server."""
        while self.endpoint is endpoint:
            await self._news.wait()

    async def aclose(self) -> None:
        """End the server and its process; return once it is gone. May be called again."""
        if self.state == "closed":
            return
        if self._loop is None:
            self._enter("closed")
        elif self._loop.is_running():
            await self._at_home(self._stop)
        else:
            self._stop_without_loop()

    # On the loop that started the server ------------------------------------------------------------------------------

    async def _at_home(self, method: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await method()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(method(), self._loop))

    async def _begin(self, tries: int) -> None:
        spec = self.settings.model
        self._path = await in_thread(find_model, spec) if is_remote(spec) else find_model(spec)
        if self.state in {"new", "failed"}:  # no concurrent call was faster
            self._loop = asyncio.get_running_loop()
            self._enter("starting")
            self._task = self._loop.create_task(self._run(tries), name=f"model server {self._path.stem}")

    async def _until_ready(self) -> Endpoint:
        while not (endpoint := self.endpoint):
            if self.state == "failed" and self.last_error:
                raise copy.copy(self.last_error)  # each caller raises its own copy, because raising adds a traceback
            if self.state == "closed":
                raise Draining("The model server is closed.")
            await self._news.wait()
        return endpoint

    async def _stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._enter("closed")

    def _stop_without_loop(self) -> None:
        """End everything when the loop that runs it has stopped and its tasks cannot be awaited."""
        if self._process:
            self._process.end_now()
        if self._task and self._loop and not self._loop.is_closed():
            self._task.cancel()
        self._news = asyncio.Event()  # waiters on that loop cannot be notified
        self._enter("closed")

    async def _run(self, tries: int) -> None:
        failures = 0
        try:
            while True:
                settled = await self._live_once()
                failures = 1 if settled else failures + 1
                if not self._was_ready and (isinstance(self.last_error, StartError) or failures >= tries):
                    self._give_up()
                    return
                await self._back_off(failures)
                self.restarts += 1
        except Exception as error:  # an internal defect: it must be logged, and the server must stay usable
            self.last_error = self._defect(error)
            self._give_up()
        finally:
            if self._state != "failed":
                self._enter("closed")

    def _give_up(self) -> None:
        """Stop restarting; the server starts again on a request after a delay."""
        self._given_up += 1
        delay = self._backoff.delay(self._given_up, self._chance())
        self._again_at = self._clock() + delay
        _log.warning("%s It is tried again on the first request after %.1f s.", self.last_error, delay)
        self._enter("failed")

    def _defect(self, error: Exception) -> UpstreamServerError:
        _log.error("The supervision of %s failed: %s.", self._path.stem, raised_at(error))
        return UpstreamServerError(f"The supervision of {self._path.stem} failed: {type(error).__name__}.")

    async def _back_off(self, failures: int) -> None:
        delay = self._backoff.delay(failures, self._chance())
        _log.warning("%s It is restarted in %.1f s.", self.last_error, delay)
        self._enter("backing off")
        await self._sleep(delay)

    async def _live_once(self) -> bool:
        """Run one process from its start to its death; return whether it was healthy for long enough."""
        self._enter("starting")
        since = None
        try:
            key = Secret(secrets.token_urlsafe(32))
            made = ModelProcess(order(self.settings, self._path, key), self.settings.environment)
            async with made as self._process:
                endpoint = await self._loading(self._process, key).endpoint()
                since, self._was_ready, self._given_up = self._clock(), True, 0
                self._enter("ready", endpoint)
                self.last_error = await until_gone(self._process, endpoint, self._liveness())
        except LocalAgentError as error:
            self.last_error = error
        except OSError as error:
            self.last_error = UpstreamServerError(f"The process for {self._path.stem} could not be started: {error}.")
        except Exception as error:  # an internal defect: the server is restarted anyway
            self.last_error = self._defect(error)
        return since is not None and self._clock() - since >= self._backoff.settled

    def _loading(self, process: ModelProcess, key: Secret) -> Loading:
        timeout = self.settings.load_timeout
        return Loading(process, self._path.stem, key, timeout, self._clock, partial(self._report, self._on_progress))

    def _enter(self, state: State, endpoint: Endpoint | None = None) -> None:
        changed = endpoint is not self._endpoint
        self._state, self._endpoint = state, endpoint
        self._news.set()
        self._news = asyncio.Event()
        if changed:
            self._report(self._on_change, endpoint)

    def _report(self, listener: Callable[[Any], object] | None, news: Any) -> None:
        try:
            if listener:
                listener(news)
        except Exception as error:  # the owner's code; the server must keep running whatever it does
            _log.error("A listener of the model server raised %s.", raised_at(error))
