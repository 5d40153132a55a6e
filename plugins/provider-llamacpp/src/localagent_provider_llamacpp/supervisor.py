"""Keeps one model server running: starts it, waits until it is well, starts it again when it dies or hangs, ends it.

::

    new --start--> starting --well--> ready --died--> backing off --delay over--> starting
                      |                                    ^
                      +-------------died-------------------+
                      +--refused, or died three times, and never was ready--> failed
    failed --asked for after a delay--> starting
    any --aclose--> closed

A server that was ready once is started again for as long as it takes: its model can be loaded, so the trouble may pass.
One that never was is tried again when it is asked for, at first soon, then after longer and longer delays.
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

FIRST_TRIES = 3  # deaths in a row after which a server that never was ready is given up for a while

_log = logging.getLogger(__name__)


class ModelServer:
    """Keeps one model server running; an async context manager that starts and closes it.

    It lives on the loop that started it; ``ready`` and ``aclose`` may be called from any other. In a forked copy of
    the process it is closed: the copy neither keeps the server alive nor ends it.

    Args:
        settings: What to run.
        on_change: Called with the new endpoint when the server became ready, with None when it no longer is.
        on_progress: Called with a short text while the model loads.
        backoff: How long to wait between restarts.
        clock: Monotonic seconds.
        sleep: Waits between restarts.
        chance: Random numbers from 0 to 1, for the jitter.
        liveness: Returns what says when a server that does not answer counts as gone.

    Attributes:
        settings: What it runs.
        last_error: How the last process ended or failed to start; None before the first trouble.
        restarts: Processes that were started after the first one.
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
        """Count as closed in a forked copy of the process."""
        self._in_copy = True

    @property
    def state(self) -> State:
        """What the server is doing now."""
        return "closed" if self._in_copy else self._state

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the server answers; None while it is not ready."""
        return self._endpoint if self.state == "ready" else None

    @property
    def pid(self) -> int | None:
        """The process that loads or serves the model now; None while there is none."""
        return self._process.pid if self._process and self.state in {"starting", "ready"} else None

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of llama.cpp's log, 50 at most, none of which quotes a request."""
        return self._process.log.lines() if self._process else ()

    async def start(self) -> None:
        """Find the model and begin to load it; returns before it is loaded. May be called again.

        Raises:
            SettingsError: There is no such model, or its file is not one; no process was started.
            Draining: The server was closed.
        """
        if self.state == "closed":
            raise Draining("The model server is closed.")
        if self._task is None:
            await self._begin(FIRST_TRIES)
        elif self.state == "failed" and self._clock() >= self._again_at:
            await self._at_home(partial(self._begin, 1))

    async def ready(self) -> Endpoint:
        """Wait until the server is well, however long that takes; starts it if nobody has.

        Returns:
            Where it answers.

        Raises:
            LocalAgentError: It cannot be started (``last_error``), or it was closed (``Draining``).
        """
        await self.start()
        return await self._at_home(self._until_ready)

    async def left(self, endpoint: Endpoint) -> None:
        """Return when the server no longer answers there; on the loop that started it."""
        while self.endpoint is endpoint:
            await self._news.wait()

    async def aclose(self) -> None:
        """End the server and its process; returns when it is gone. May be called again."""
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
        if self.state in {"new", "failed"}:  # who else called meanwhile was not quicker
            self._loop = asyncio.get_running_loop()
            self._enter("starting")
            self._task = self._loop.create_task(self._run(tries), name=f"model server {self._path.stem}")

    async def _until_ready(self) -> Endpoint:
        while not (endpoint := self.endpoint):
            if self.state == "failed" and self.last_error:
                raise copy.copy(self.last_error)  # an error that is raised gathers a traceback: one for each caller
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
        """End everything although the loop that runs it has stopped, so that none of it can be awaited."""
        if self._process:
            self._process.end_now()
        if self._task and self._loop and not self._loop.is_closed():
            self._task.cancel()
        self._news = asyncio.Event()  # who waits on that loop will not hear of it
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
        except Exception as error:  # a defect of ours: it must neither be silent nor the last word
            self.last_error = self._defect(error)
            self._give_up()
        finally:
            if self._state != "failed":
                self._enter("closed")

    def _give_up(self) -> None:
        """Start it no more before it is asked for, and not at once then."""
        self._given_up += 1
        delay = self._backoff.delay(self._given_up, self._chance())
        self._again_at = self._clock() + delay
        _log.warning("%s It is tried again when it is asked for, in %.1f s at the soonest.", self.last_error, delay)
        self._enter("failed")

    def _defect(self, error: Exception) -> UpstreamServerError:
        _log.error("The supervision of %s failed: %s.", self._path.stem, raised_at(error))
        return UpstreamServerError(f"The supervision of {self._path.stem} failed: {type(error).__name__}.")

    async def _back_off(self, failures: int) -> None:
        delay = self._backoff.delay(failures, self._chance())
        _log.warning("%s It is started again in %.1f s.", self.last_error, delay)
        self._enter("backing off")
        await self._sleep(delay)

    async def _live_once(self) -> bool:
        """Run one process from its start to its death; return whether it was well for long enough."""
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
            self.last_error = UpstreamServerError(f"No process for {self._path.stem} could be started: {error}.")
        except Exception as error:  # a defect of ours: the server is started again anyway
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
        except Exception as error:  # the owner's code; the server must be kept running whatever it does
            _log.error("A listener of the model server raised %s.", raised_at(error))
