"""What providers run once for all workers, and for all reloads: model servers on this machine, say."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from localagent.pipeline import Pipeline
from localagent.registry import provider_types, with_defaults
from localagent.settings.model import Settings
from localagent_gateway.temporary import private_folder


@attrs.frozen(eq=False)
class Part:
    """What one provider runs.

    Attributes:
        provider: The provider's name.
        settings: The filled settings of its type.
        address: Where the workers' providers reach it.
        running: The open context.
    """

    provider: str
    settings: Any
    address: Path
    running: AbstractAsyncContextManager[object]


class SharedParts:
    """All of them; an async context manager that ends them. It lives in the process that owns the workers."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._parts: list[Part] = []
        self._wanted: list[Part] = []
        self._later: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        self._wanted = []
        await self._drop_others()
        self._stack.close()

    async def follow(self, settings: Settings, pipeline: Pipeline, environment: Mapping[str, str]) -> dict[str, str]:
        """Open what these settings need; what is open with equal settings already stays as it is.

        Args:
            settings: The settings.
            pipeline: The plugins.
            environment: The environment, in which providers may be found without being named.

        Returns:
            By the provider's name, where to reach what was opened.

        Raises:
            SettingsError: A provider's settings are wrong.
        """
        types = provider_types(pipeline)
        settings = with_defaults(settings, types, environment)
        wanted = []
        for name, common in settings.providers.items():
            kind = types[common.type][0] if common.type in types else None
            if kind is not None and kind.share is not None:
                wanted.append(await self._part(name, settings.for_provider(name, kind.settings), kind.share))
        self._wanted = wanted
        return {part.provider: str(part.address) for part in wanted}

    def drop_others_after(self, unused: Awaitable[object]) -> None:
        """End what the last ``follow`` did not want, as soon as nobody uses it any more."""
        task = asyncio.create_task(self._drop_after(unused), name="end shared parts")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _drop_after(self, unused: Awaitable[object]) -> None:
        await unused
        await self._drop_others()

    async def _drop_others(self) -> None:
        for part in [part for part in self._parts if part not in self._wanted]:
            self._parts.remove(part)
            await part.running.__aexit__(None, None, None)

    async def _part(self, provider: str, settings: Any, share: Any) -> Part:
        for part in self._parts:
            if (part.provider, part.settings) == (provider, settings):
                return part
        if self._folder is None:
            self._folder = self._stack.enter_context(private_folder())  # short: a socket's path has about 100 bytes
        address = self._folder / str(next(self._numbers))
        running: AbstractAsyncContextManager[object] = share(settings, address)
        await running.__aenter__()
        self._parts.append(Part(provider, settings, address, running))
        return self._parts[-1]
