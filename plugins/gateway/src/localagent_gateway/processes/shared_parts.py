"""What providers run once for all workers, and for all reloads: model servers on this machine, say."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from localagent import Settings
from localagent.instances.provider_types import provider_types, with_defaults
from localagent.pipeline.pipeline import Pipeline
from localagent.supervision import tell_failure
from localagent_gateway.processes.temporary import private_folder

log = logging.getLogger("localagent.gateway")


@attrs.define(eq=False)
class Part:
    """What one provider runs.

    Attributes:
        provider: The provider's name.
        settings: The filled settings of its type.
        address: Where the workers' providers reach it.
        running: The open context.
        holds: How often it is held. A part that nobody holds any more is ended.
    """

    provider: str
    settings: Any
    address: Path
    running: AbstractAsyncContextManager[object]
    holds: int = 0


@attrs.frozen(eq=False)
class Lease:
    """What one reading of the settings uses. Whoever answers by these settings holds it.

    Attributes:
        parts: The parts.
    """

    parts: Sequence[Part] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """By the provider's name, where to reach what it runs."""
        return {part.provider: str(part.address) for part in self.parts}


NO_LEASE = Lease()


class SharedParts:
    """All of them; an async context manager that ends them. It lives in the process that owns the workers."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._parts: list[Part] = []
        self._waiting: set[asyncio.Future[object]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        for part in list(self._parts):
            part.holds = 0
            self._end(part)
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._stack.close()

    async def follow(self, settings: Settings, pipeline: Pipeline, environment: Mapping[str, str]) -> Lease:
        """Open what these settings need; what is open with equal settings already is used again.

        Args:
            settings: The settings.
            pipeline: The plugins.
            environment: The environment, in which providers may be found without being named.

        Returns:
            What was opened. It is held for the caller, who gives it back with ``release``.

        Raises:
            SettingsError: A provider's settings are wrong.
        """
        types = provider_types(pipeline)
        settings = with_defaults(settings, types, environment)
        lease = Lease([])
        try:
            for name, common in settings.providers.items():
                kind = types[common.type][0] if common.type in types else None
                if kind is not None and kind.share is not None:
                    own: Any = settings.for_provider(name, kind.settings)
                    try:
                        lease = Lease([*lease.parts, await self._part(name, own, kind.share)])
                    except OSError as error:  # no folder for its socket, say: each worker then has one of its own
                        log.warning("Provider %s runs once for each worker: %s.", name, error.strerror or error)
        except BaseException:
            self.release(lease)
            raise
        return lease

    def hold(self, lease: Lease) -> None:
        """Keep what is leased running until it is released once more."""
        for part in lease.parts:
            part.holds += 1

    def release(self, lease: Lease) -> None:
        """Give back what was held; what nobody else holds is ended."""
        for part in lease.parts:
            part.holds -= 1
            if part.holds == 0:
                self._end(part)

    def release_after(self, lease: Lease, unused: Awaitable[object]) -> None:
        """Give back what was held as soon as something has come about: the last request has ended, say."""
        waiting = asyncio.ensure_future(unused)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        waiting.add_done_callback(lambda _: self.release(lease))
        waiting.add_done_callback(tell_failure(log))

    def _end(self, part: Part) -> None:
        self._parts.remove(part)  # at once: who asks for the same settings from now on gets another one
        task = asyncio.create_task(_ended(part), name=f"end what {part.provider} shares")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.add_done_callback(tell_failure(log))

    async def _part(self, provider: str, settings: Any, share: Any) -> Part:
        for part in self._parts:
            if (part.provider, part.settings) == (provider, settings):
                part.holds += 1
                return part
        if self._folder is None:
            self._folder = self._stack.enter_context(private_folder())  # short: a socket's path has about 100 bytes
        address = self._folder / str(next(self._numbers))
        running: AbstractAsyncContextManager[object] = share(settings, address)
        await running.__aenter__()
        self._parts.append(Part(provider, settings, address, running, holds=1))
        return self._parts[-1]


async def _ended(part: Part) -> None:
    await part.running.__aexit__(None, None, None)
