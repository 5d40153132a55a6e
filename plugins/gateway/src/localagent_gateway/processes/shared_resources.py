"""Resources that providers run once for all workers and across reloads, such as model servers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from localagent import Settings
from localagent.instances import provider_types, with_defaults
from localagent.pipeline import Pipeline
from localagent.supervision import report_failure

log = logging.getLogger("localagent.gateway")


@attrs.define(eq=False)
class SharedResource:
    """The resource of one provider.

    Attributes:
        provider: The provider's name.
        settings: The complete settings of its type.
        address: The address under which the workers' providers reach it.
        running: The open context.
        holds: The number of holders. A resource without holders is ended.
    """

    provider: str
    settings: Any
    address: Path
    running: AbstractAsyncContextManager[object]
    holds: int = 0


@attrs.frozen(eq=False)
class Lease:
    """The resources that one version of the settings uses; held by every worker that uses these settings.

    Attributes:
        resources: The resources of the providers.
    """

    resources: Sequence[SharedResource] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of the resources, by the provider's name."""
        return {resource.provider: str(resource.address) for resource in self.resources}


NO_LEASE = Lease()


class SharedResources:
    """All shared resources; an async context manager that ends them. It lives in the process that owns the workers."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._resources: list[SharedResource] = []
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
        for resource in list(self._resources):
            resource.holds = 0
            self._end(resource)
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._stack.close()

    async def follow(self, settings: Settings, pipeline: Pipeline, environment: Mapping[str, str]) -> Lease:
        """Open the resources for these settings; reuse those that are already open with equal settings.

        Args:
            settings: The settings.
            pipeline: The plugins.
            environment: The environment, which may define providers that the settings do not name.

        Returns:
            A lease on the resources. It is held for the caller, who must ``release`` it.

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
                        lease = Lease([*lease.resources, await self._resource(name, own, kind.share)])
                    except OSError as error:  # for example no folder for its socket: each worker then runs its own
                        log.warning("Provider %s runs once for each worker: %s.", name, error.strerror or error)
        except BaseException:
            self.release(lease)
            raise
        return lease

    def hold(self, lease: Lease) -> None:
        """Keep leased resources running until they are released once more."""
        for resource in lease.resources:
            resource.holds += 1

    def release(self, lease: Lease) -> None:
        """Release leased resources; those without other holders are ended."""
        for resource in lease.resources:
            resource.holds -= 1
            if resource.holds == 0:
                self._end(resource)

    def release_after(self, lease: Lease, unused: Awaitable[object]) -> None:
        """Release leased resources as soon as ``unused`` is done, for example after the last request."""
        waiting = asyncio.ensure_future(unused)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        waiting.add_done_callback(lambda _: self.release(lease))
        waiting.add_done_callback(report_failure(log))

    def _end(self, resource: SharedResource) -> None:
        self._resources.remove(resource)  # at once: a later request for the same settings gets a new one
        task = asyncio.create_task(_ended(resource), name=f"end what {resource.provider} shares")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.add_done_callback(report_failure(log))

    async def _resource(self, provider: str, settings: Any, share: Any) -> SharedResource:
        for resource in self._resources:
            if (resource.provider, resource.settings) == (provider, settings):
                resource.holds += 1
                return resource
        if self._folder is None:
            self._folder = self._stack.enter_context(private_folder())  # short: a socket's path has about 100 bytes
        address = self._folder / str(next(self._numbers))
        running: AbstractAsyncContextManager[object] = share(settings, address)
        await running.__aenter__()
        self._resources.append(SharedResource(provider, settings, address, running, holds=1))
        return self._resources[-1]


async def _ended(resource: SharedResource) -> None:
    await resource.running.__aexit__(None, None, None)


PREFIX = "localagent-serve-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Create a folder, remove it at the end, and remove folders whose owner has died.

    The owner holds a lock (flock(2)) on its folder, which the system releases however the process ends. A process id
    would not do: it may belong to another process by now, or to another container that shares the folder.
    """
    remove_left_behind()
    folder, lock = _locked()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left_behind() -> None:
    """Remove the folders of this user that no process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or removed by another process at the same time
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid() and _lock(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked() -> tuple[Path, int]:
    """Create a folder and lock it; try again if another process has removed it before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            if _lock(lock) and folder.exists():
                return folder, lock
            os.close(lock)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
