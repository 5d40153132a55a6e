"""From an order to an endpoint, and to its end: waits until a child is well, later until it is gone, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from localagent import LocalAgentError, Secret
from localagent.errors import SettingsError, StartError, UpstreamServerError, UpstreamTimeout
from localagent.plugin_api import install
from localagent.supervision import Liveness
from localagent_provider_llamacpp.health import is_healthy, silence
from localagent_provider_llamacpp.process import ModelProcess
from localagent_provider_llamacpp.settings import ModelServerSettings

PROGRESS_EVERY = 0.25  # seconds between two reports of progress
HEALTH_EVERY = 0.05  # seconds between two questions whether a loaded server is well


@attrs.frozen
class Endpoint:
    """Where a ready model server answers; a restarted one has another port, key and process.

    Attributes:
        url: Base address, without a path.
        key: What it wants as bearer token.
        model: The name that the model answers under.
        pid: The process that serves it.
        load_seconds: How long it took from the start of the process until it was well.
    """

    url: str
    key: Secret
    model: str
    pid: int
    load_seconds: float

    @property
    def port(self) -> int:
        """The port of the loopback interface."""
        return int(self.url.rpartition(":")[2])


def order(settings: ModelServerSettings, model: Path, key: Secret) -> Mapping[str, Any]:
    """Return what the child must know to load a model; ``child.load`` reads it."""
    return {
        "model": str(model),
        "name": model.stem,
        "api_key": key.reveal(),
        "threads": settings.threads,
        "context": settings.context,
        "parallel": settings.parallel,
        "batch": settings.batch,
        "embeddings": settings.embeddings,
        "extra": dict(settings.extra),
    }


@attrs.frozen
class Loading:
    """A model that is being loaded by a child.

    Attributes:
        process: The child.
        model: The model's name, for messages.
        key: The key that the child was given.
        timeout: Seconds that loading may take.
        clock: Monotonic seconds.
        notify: Receives short texts about the progress.
    """

    process: ModelProcess
    model: str
    key: Secret
    timeout: float
    clock: Callable[[], float]
    notify: Callable[[str], object]

    async def endpoint(self) -> Endpoint:
        """Return where the server answers, as soon as it is well.

        Raises:
            SettingsError: llama.cpp does not know a parameter, or not this value of it.
            StartError: llama.cpp refused the model.
            UpstreamServerError: The child died.
            UpstreamTimeout: It took too long.
        """
        began = self.clock()
        try:
            async with asyncio.timeout(self.timeout):
                report = await self._report(began)
                if "port" not in report or not await self._becomes_healthy(report["port"]):
                    await self.process.wait()  # its last words and its exit status are part of the error
                    raise self._refusal(report) if "error" in report else death(self.process, self.model)
        except TimeoutError:
            raise UpstreamTimeout(f"{self.model} was not loaded within {self.timeout:g} s.", phase="load") from None
        self.process.log.loaded()
        seconds = self.clock() - began
        self.notify(f"loaded {self.model} in {seconds:.1f} s")
        return Endpoint(f"http://127.0.0.1:{report['port']}", self.key, self.model, self.process.pid, seconds)

    async def _report(self, began: float) -> Mapping[str, Any]:
        while True:
            self.notify(f"loading {self.model} ... {self.clock() - began:.1f} s")
            try:
                async with asyncio.timeout(PROGRESS_EVERY):
                    return await self.process.report()
            except TimeoutError:
                continue

    def _refusal(self, report: Mapping[str, Any]) -> LocalAgentError:
        error = report["error"]
        if report["of_settings"]:
            return SettingsError(f"{error}.", hint="Correct the setting extra.")
        message = f"llama.cpp could not load {self.model}: {self.process.log.cause() or error}."
        hint = install("localagent-provider-llamacpp", options="--upgrade --upgrade-strategy eager")
        return StartError(message, hint=f"Check that the file is whole, or that llama.cpp knows its model. {hint}")

    async def _becomes_healthy(self, port: int) -> bool:
        """Wait until the server is well; return False when its process ended instead."""
        while not await is_healthy(port):
            if self.process.gone:
                return False
            await asyncio.sleep(HEALTH_EVERY)
        return True


def death(process: ModelProcess, model: str) -> UpstreamServerError:
    """Return the error that says how a child ended."""
    cause = process.log.cause()
    message = f"The model server of {model} ended with {process.ending()}{': ' + cause if cause else ''}."
    return UpstreamServerError(message)


async def until_gone(process: ModelProcess, endpoint: Endpoint, liveness: Liveness) -> UpstreamServerError:
    """Wait until a process has ended, or does not answer any more; return the error that says so."""
    ended = asyncio.create_task(process.wait(), name=f"wait for the end of {endpoint.model}")
    silent = asyncio.create_task(silence(endpoint.port, liveness), name=f"ask {endpoint.model} how it is")
    try:
        await asyncio.wait({ended, silent}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return death(process, endpoint.model)
        silent.result()
        return UpstreamServerError(f"The model server of {endpoint.model} did not answer for {liveness.longest:.0f} s.")
    finally:
        ended.cancel()
        silent.cancel()
        await asyncio.gather(ended, silent, return_exceptions=True)
