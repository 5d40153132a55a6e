"""Waits until a child is healthy and returns its endpoint; later waits until it is gone and reports why."""

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
HEALTH_EVERY = 0.05  # seconds between two health checks of a loaded server


@attrs.frozen
class Endpoint:
    """The endpoint of a ready model server; after a restart its port, key and process differ.

    Attributes:
        url: Base address, without a path.
        key: The bearer token that it requires.
        model: The model's name in requests and answers.
        pid: The id of the process that serves it.
        load_seconds: Seconds from the start of the process until it was healthy.
    """

    url: str
    key: Secret
    model: str
    pid: int
    load_seconds: float

    @property
    def port(self) -> int:
        """The port on the loopback interface."""
        return int(self.url.rpartition(":")[2])


def order(settings: ModelServerSettings, model: Path, key: Secret) -> Mapping[str, Any]:
    """Return the order for a child to load a model; ``child.load`` reads it."""
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
        key: The child's key.
        timeout: Seconds that loading may take.
        clock: Returns monotonic seconds.
        notify: Receives short progress messages.
    """

    process: ModelProcess
    model: str
    key: Secret
    timeout: float
    clock: Callable[[], float]
    notify: Callable[[str], object]

    async def endpoint(self) -> Endpoint:
        """Return the server's endpoint as soon as it is healthy.

        Raises:
            SettingsError: llama.cpp does not have a parameter, or does not accept its value.
            StartError: llama.cpp refused the model.
            UpstreamServerError: The child died.
            UpstreamTimeout: Loading took too long.
        """
        began = self.clock()
        try:
            async with asyncio.timeout(self.timeout):
                report = await self._report(began)
                if "port" not in report or not await self._becomes_healthy(report["port"]):
                    await self.process.wait()  # its last log lines and its exit status are part of the error
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
        return StartError(
            message, hint=f"Check that the file is complete and that llama.cpp supports the model. {hint}"
        )

    async def _becomes_healthy(self, port: int) -> bool:
        """Wait until the server is healthy; return False if its process ended instead."""
        while not await is_healthy(port):
            if self.process.gone:
                return False
            await asyncio.sleep(HEALTH_EVERY)
        return True


def death(process: ModelProcess, model: str) -> UpstreamServerError:
    """Return the error that describes how a child ended."""
    cause = process.log.cause()
    message = f"The model server of {model} ended with {process.ending()}{': ' + cause if cause else ''}."
    return UpstreamServerError(message)


async def until_gone(process: ModelProcess, endpoint: Endpoint, liveness: Liveness) -> UpstreamServerError:
    """Wait until a process has ended or no longer answers; return the error that describes it."""
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
