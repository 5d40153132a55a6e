"""What providers run for all workers lives as long as settings that name it are in force, or have requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent import Plugin, ProviderType, hookimpl
from localagent.errors import SettingsError
from localagent.pipeline import Pipeline
from localagent.plugin_api import as_loaded
from localagent.settings.model import Settings
from localagent_gateway.processes.shared_resources import Lease, SharedResources


@attrs.frozen
class OwnSettings:
    model: str = ""


RUNNING: list[str] = []


@contextlib.asynccontextmanager
async def share(settings: OwnSettings, address: Path) -> AsyncIterator[None]:
    if settings.model == "fails":
        raise SettingsError("No such model.")
    RUNNING.append(settings.model)
    try:
        yield
    finally:
        RUNNING.remove(settings.model)
        if settings.model == "bad end":
            raise RuntimeError


def never(setup: Any) -> Any:
    raise AssertionError


class SharingPlugin(Plugin):
    name = "sharing"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        return [ProviderType(name="sharing", settings=OwnSettings, make=never, share=share)]


async def leased(resources: SharedResources, *models: str) -> Lease:
    """Return the lease of settings that name models."""
    providers = {f"p{number}": {"type": "sharing", "model": model} for number, model in enumerate(models)}
    settings = Settings.from_mapping({"providers": providers})
    pipeline = Pipeline(as_loaded([SharingPlugin]), {"sharing": None}, {}, {})
    return await resources.follow(settings, pipeline, {})


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_part_lives_until_all_who_hold_it_have_released_it() -> None:
    """Settings in force and requests under way hold it, each for itself."""
    async with SharedResources() as resources:
        lease = await leased(resources, "a")
        ended = asyncio.Event()
        resources.hold(lease)
        resources.release_after(lease, ended.wait())
        resources.release(lease)
        await turns()
        assert RUNNING == ["a"]
        ended.set()
        await turns()
        assert RUNNING == []


async def test_two_reloads_in_a_row_end_nothing_that_is_used() -> None:
    """A has a request, then B has one, then C is in force: each ends with its own last request."""
    async with SharedResources() as resources:
        a, b, c = [await leased(resources, name) for name in "abc"]
        a_ended, b_ended = asyncio.Event(), asyncio.Event()
        resources.release_after(a, a_ended.wait())
        resources.release_after(b, b_ended.wait())
        a_ended.set()
        await turns()
        assert RUNNING == ["b", "c"]
        b_ended.set()
        await turns()
        assert RUNNING == ["c"]
        resources.release(c)
        await turns()
        assert RUNNING == []


async def test_a_reload_that_failed_ends_nothing_that_is_in_force() -> None:
    """B is in force; C was opened and given back; A's last request ends."""
    async with SharedResources() as resources:
        a, _ = await leased(resources, "a"), await leased(resources, "b")
        resources.release(await leased(resources, "c"))
        resources.release(a)
        await turns()
        assert RUNNING == ["b"]


async def test_settings_that_cannot_be_opened_leave_nothing_behind() -> None:
    """What was opened before the provider that fails is given back, and what was there before stays."""
    async with SharedResources() as resources:
        await leased(resources, "a")
        with pytest.raises(SettingsError):
            await leased(resources, "a", "b", "fails")
        await turns()
        assert RUNNING == ["a"]


async def test_equal_settings_share_a_part_and_going_back_finds_it() -> None:
    """A, then B, then A again while its requests still run: the same one."""
    async with SharedResources() as resources:
        first = await leased(resources, "a")
        resources.release_after(first, asyncio.Event().wait())
        again = await leased(resources, "a")
        assert again.addresses == first.addresses
        assert RUNNING == ["a"]


async def test_a_part_that_fails_when_it_is_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody awaits its end, so the log says what went wrong, and where."""
    async with SharedResources() as resources:
        resources.release(await leased(resources, "bad end"))
        await turns()
        assert "RuntimeError at test_shared_resources.py" in caplog.text
        assert "end what p0 shares" in caplog.text


async def test_the_end_of_the_gateway_ends_all_parts() -> None:
    """Anyone who still holds them."""
    async with SharedResources() as resources:
        lease = await leased(resources, "a", "b")
        resources.release_after(lease, asyncio.Event().wait())
    assert RUNNING == []


async def test_a_system_without_a_temporary_folder_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a container whose disks are all read-only: the provider runs once for each worker."""

    def fails() -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")

    async with SharedResources() as resources:
        assert set((await leased(resources, "a")).addresses) == {"p0"}
    monkeypatch.setattr("localagent_gateway.processes.shared_resources.private_folder", fails)
    async with SharedResources() as resources:
        assert (await leased(resources, "a")).addresses == {}
    (said,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == "Provider p0 runs once for each worker: No usable temporary directory found."
