"""One worker's place, with workers that live and die as the test says, on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from localagent.errors import StartError
from localagent.supervision import Liveness
from localagent_gateway.processes.shared_resources import NO_LEASE, SharedResources
from localagent_gateway.processes.worker_restarts import LONGEST_AFTER_SERVICE, LONGEST_DELAY, Restarts, WorkerSlot
from localagent_gateway.settings import GatewaySettings

pytestmark = pytest.mark.virtual


class FakeWorker:
    """What ``WorkerProcess`` is elsewhere.

    Attributes:
        configuration: What it serves.
        hangs: Set when it should answer no more.
    """

    def __init__(self, number: int, configuration: Any, serves: asyncio.Event) -> None:
        self.pid = number
        self.configuration = configuration
        self.leaving, self.ended, self.hangs = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.ending = "signal SIGKILL"
        self._serves = serves

    async def ready(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._serves.wait()
        except TimeoutError:
            raise StartError("It did not begin to serve.") from None

    async def unresponsive(self, liveness: Liveness) -> None:
        await self.hangs.wait()
        await asyncio.sleep(liveness.longest)

    async def reload(self, configuration: Any, seconds: float) -> asyncio.Future[None]:
        self.configuration = configuration
        return asyncio.ensure_future(asyncio.sleep(0))

    async def kill(self) -> None:
        self.end()

    def end(self) -> None:
        self.leaving.set()
        self.ended.set()


class Place:
    """A slot, and the workers that were started for it.

    Attributes:
        slot: The slot.
        workers: All workers that were started, oldest first.
        serve: While it is cleared, those that are started do not begin to serve.
        fails: Errors that the next starts raise.
        started: When each was started.
    """

    def __init__(self, resources: SharedResources) -> None:
        self.workers: list[FakeWorker] = []
        self.serve = asyncio.Event()
        self.serve.set()
        self.fails: list[Exception] = []
        self.started: list[float] = []
        self.slot = WorkerSlot(
            1, settings(), self._start, lambda process: None, resources=resources, on_change=lambda: None
        )

    async def _start(self, number: int, configuration: Any) -> Any:
        self.started.append(asyncio.get_running_loop().time())
        if self.fails:
            raise self.fails.pop(0)
        self.workers.append(FakeWorker(len(self.workers) + 1, configuration, self.serve))
        return self.workers[-1]

    async def count(self, count: int) -> FakeWorker:
        """Wait until so many were started and the last one has the place."""
        while len(self.workers) < count or self.slot.process is not self.workers[-1]:  # noqa: ASYNC110 - virtual
            await asyncio.sleep(0.01)
        return self.workers[-1]


def settings() -> Any:
    return SimpleNamespace(gateway=GatewaySettings(), lease=NO_LEASE)


@contextlib.asynccontextmanager
async def kept() -> AsyncIterator[Place]:
    """A place whose first worker serves."""
    async with SharedResources() as resources:
        place = Place(resources)
        await place.slot.replace()
        keeping = asyncio.create_task(place.slot.keep())
        try:
            yield place
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def test_a_worker_that_does_not_begin_to_serve_is_killed() -> None:
    """After ``start_timeout``; the one before stays."""
    async with kept() as place:
        place.serve.clear()
        began = asyncio.get_running_loop().time()
        with pytest.raises(StartError):
            await place.slot.replace()
        assert asyncio.get_running_loop().time() - began == GatewaySettings().start_timeout
        assert place.workers[1].ended.is_set()
        assert place.slot.process is place.workers[0]


async def test_a_worker_that_dies_while_its_successor_hangs_is_started_again() -> None:
    """The one that hangs is nobody's reason to wait."""
    async with kept() as place:
        serves, place.serve = place.serve, asyncio.Event()  # the next one hangs for good
        replacing = asyncio.create_task(place.slot.replace())
        while len(place.workers) < 2:  # noqa: ASYNC110 - virtual
            await asyncio.sleep(0.01)
        place.serve = serves
        place.workers[0].end()
        third = await place.count(3)
        assert not replacing.done()
        with pytest.raises(StartError):
            await replacing
        assert place.slot.process is third


async def test_the_successor_of_a_replaced_worker_is_watched_at_once() -> None:
    """Also while the worker before still ends its requests."""
    async with kept() as place:
        await place.slot.replace()
        assert not place.workers[0].ended.is_set()
        place.workers[1].end()
        await place.count(3)


async def test_a_worker_that_hangs_is_replaced() -> None:
    """A stopped process dies of nothing; it is killed when it was silent for too long."""
    async with kept() as place:
        place.workers[0].hangs.set()
        await place.count(2)
        assert place.workers[0].ended.is_set()


async def test_a_worker_that_was_told_to_end_is_replaced_before_it_has_ended() -> None:
    """Its last requests may take long."""
    async with kept() as place:
        place.workers[0].leaving.set()
        await place.count(2)
        assert not place.workers[0].ended.is_set()


async def test_settings_that_come_while_a_worker_starts_are_its_settings() -> None:
    """No worker begins to serve by settings that are no longer in force."""
    async with kept() as place:
        place.serve.clear()
        place.workers[0].end()
        while len(place.workers) < 2:  # noqa: ASYNC110 - virtual
            await asyncio.sleep(0.01)
        new = settings()
        await place.slot.reload(new, proven=True)
        place.serve.set()
        last = await place.count(3)
        assert last.configuration is new
        assert place.workers[1].ended.is_set()


@pytest.mark.parametrize("error", [ValueError("35 is not a valid Signals"), OSError(11, "no"), KeyError("x")])
async def test_an_error_while_a_worker_is_started_again_is_told_and_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it is: the log says where it was raised, and not what it says."""
    async with kept() as place:
        place.fails = [error] * 3
        with caplog.at_level(logging.WARNING):
            place.workers[0].end()
            await place.count(2)
        reported = [record.getMessage() for record in caplog.records if "supervision failed" in record.getMessage()]
        assert len(reported) == 3
        assert f"{type(error).__name__} at test_worker_restarts.py" in reported[0]
        assert str(error) not in reported[0]


async def test_an_error_in_the_supervision_itself_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that raises does not end the supervision."""
    async with kept() as place:

        async def raises(*_: object) -> bool:
            monkeypatch.undo()
            raise RuntimeError

        monkeypatch.setattr(place.slot, "_again", raises)
        with caplog.at_level(logging.ERROR):
            place.workers[0].end()
            await place.count(2)
        assert "RuntimeError at test_worker_restarts.py" in caplog.text


async def test_starts_that_fail_are_tried_again_after_longer_and_longer_waits() -> None:
    """There is no last time."""
    async with kept() as place:
        place.fails = [StartError("Not yet.")] * 20
        place.workers[0].end()
        await place.count(2)
        waits = [later - sooner for sooner, later in zip(place.started[1:], place.started[2:], strict=False)]
        assert [round(wait, 6) for wait in waits] == [min(0.2 * 2**count, LONGEST_DELAY) for count in range(20)]


async def test_workers_that_served_come_back_soon_however_often_they_are_killed() -> None:
    """Settings that served once are good; only a start that fails makes the waits long."""
    restarts = Restarts()
    assert [restarts.after(0.5) for _ in range(50)][-1] == LONGEST_AFTER_SERVICE
    assert restarts.after(10.0) == 0.1
