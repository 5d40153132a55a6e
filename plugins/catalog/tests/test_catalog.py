"""``CatalogPlugin``: how long a list is good, who is asked when it is not, and what the files hold."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from localagent import Instance, ModelInfo, Outcome
from localagent.errors import ModelNotFound
from localagent_catalog import CatalogPlugin, CatalogSettings
from localagent_catalog.nearness import is_near
from localagent_testing import FakeCore

OLD, NEW = (ModelInfo("old", "fake", "one"),), (ModelInfo("new", "fake", "one", tools=True),)
FAR = "https://api.example.com/v1"
MINUTES = CatalogSettings(ttl=600.0, local_ttl=60.0)


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def turns() -> None:
    """Let work in the background end; writing a file is a thread's."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under its name."""
    (entry,) = entry_points(group="localagent", name="catalog")
    assert entry.load() is CatalogPlugin


@pytest.mark.parametrize(
    ("url", "near"),
    [("http://127.0.0.1:11434", True), ("http://[::1]:8080/v1", True), ("http://gpu:8000", True), ("", True),
     ("http://10.0.0.7:8000", True), ("http://box.local", True), ("https://api.openai.com/v1", False),
     ("http://8.8.8.8", False), ("https://local.example.com", False)],
)  # fmt: skip
def test_near_is_this_machine_and_its_network(url: str, near: bool) -> None:
    """Loopback and private addresses and names that only a network knows; nothing is resolved."""
    assert is_near(url) is near


@pytest.mark.virtual
async def test_an_instance_that_was_never_heard_is_asked() -> None:
    """The catalog has no list then, and answers None."""
    async with FakeCore() as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        assert await catalog.ask("list_models", core.instance()) is None
        assert core.models.asked == []


@pytest.mark.virtual
@pytest.mark.parametrize(("url", "ttl"), [(FAR, 600.0), ("http://127.0.0.1:1", 60.0)])
async def test_a_list_is_good_for_its_time(url: str, ttl: float) -> None:
    """Until nine tenths of it no server is asked; after eleven tenths the old list is used, and one request is made."""
    async with FakeCore() as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=url)
        await catalog.ask("models_listed", one, OLD)
        await turns()
        await asyncio.sleep(ttl * 0.89)
        assert await catalog.ask("list_models", one) == OLD
        assert core.models.asked == []
        await asyncio.sleep(ttl * 0.22)
        core.models.lists["one"] = NEW
        for _ in range(3):
            assert await catalog.ask("list_models", one) == OLD
        await turns()
        assert core.models.asked == ["one"]


@pytest.mark.virtual
async def test_a_list_that_is_far_too_old_is_none() -> None:
    """The instance itself is asked then, so that its error is reported if it is gone."""
    async with FakeCore() as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=FAR)
        await catalog.ask("models_listed", one, OLD)
        await turns()
        await asyncio.sleep(600.0 * 11 + 1)
        assert await catalog.ask("list_models", one) is None


@pytest.mark.virtual
async def test_a_server_that_is_gone_is_asked_seldom() -> None:
    """Failures in the background leave the old list, and the pause holds between them."""
    async with FakeCore() as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=FAR)
        await catalog.ask("models_listed", one, OLD)
        await turns()
        core.models.lists["one"] = ModelNotFound("gone")
        await asyncio.sleep(700.0)
        for _ in range(50):
            assert await catalog.ask("list_models", one) == OLD
            await turns()
            await asyncio.sleep(3.0)
        assert 4 <= len(core.models.asked) <= 6


@pytest.mark.virtual
async def test_an_unknown_model_has_the_list_asked_again_once() -> None:
    """A hundred such failures at once are one question."""
    async with FakeCore() as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=FAR)
        attempt = core.attempt(target=core.target(instance=one))
        for _ in range(100):
            await catalog.ask("after_attempt", attempt, Outcome("failed", ModelNotFound("no such model")))
        await catalog.ask("after_attempt", attempt, Outcome("ok"))
        await turns()
        assert core.models.asked == ["one"]


@pytest.mark.virtual
async def test_the_next_process_knows_what_this_one_heard(tmp_path: Path) -> None:
    """With its age, and with what a model can do."""
    wall_time = Wall()
    async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        await catalog.ask("models_listed", core.instance("one", url=FAR), NEW)
        await turns()
    wall_time.now += 500.0
    async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=FAR)
        assert await catalog.ask("list_models", one) == NEW
        assert core.models.asked == []
        await asyncio.sleep(170.0)
        assert await catalog.ask("list_models", one) == NEW
        await turns()
        assert core.models.asked == ["one"]


@pytest.mark.virtual
async def test_what_another_process_heard_meanwhile_is_taken_in(tmp_path: Path) -> None:
    """A list that has aged here is not asked for if a neighbour has a newer one."""
    wall_time = Wall()
    async with (
        FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(CatalogPlugin, MINUTES) as catalog,
        FakeCore(folder=tmp_path, wall_time=wall_time) as other, other.plugged(CatalogPlugin, MINUTES) as neighbour,
    ):  # fmt: skip
        one = core.instance("one", url=FAR)
        await catalog.ask("models_listed", one, OLD)
        await turns()
        await asyncio.sleep(700.0)
        wall_time.now += 700.0
        await neighbour.ask("models_listed", other.instance("one", url=FAR), NEW)
        await turns()
        assert await catalog.ask("list_models", one) == NEW
        await turns()
        assert core.models.asked == []


@pytest.mark.virtual
@pytest.mark.parametrize("changed", [{"url": "https://other.example.com/v1"}, {"type": "another"}, {"id": "two"}])
async def test_another_instance_never_gets_the_list(tmp_path: Path, changed: dict[str, str]) -> None:
    """An address, a type or an id that changed is another instance."""
    async with FakeCore(folder=tmp_path) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        await catalog.ask("models_listed", Instance(id="one", provider="p", type="t", url=FAR), OLD)
        await turns()
    async with FakeCore(folder=tmp_path) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        other = Instance(**{"id": "one", "provider": "p", "type": "t", "url": FAR, **changed})
        assert await catalog.ask("list_models", other) is None


@pytest.mark.virtual
@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"\xff\xfe", b'{"listed": 1, "models": [], "version": 99}'])
async def test_a_damaged_file_is_no_file(tmp_path: Path, damage: bytes) -> None:
    """It is a miss, and the next answer replaces it."""
    async with FakeCore(folder=tmp_path) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        await catalog.ask("models_listed", core.instance("one", url=FAR), OLD)
        await turns()
    (file,) = tmp_path.glob("*.json")  # noqa: ASYNC240 - a test has time
    assert b"example" not in file.read_bytes()
    file.write_bytes(damage)
    async with FakeCore(folder=tmp_path) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one = core.instance("one", url=FAR)
        assert await catalog.ask("list_models", one) is None
        await catalog.ask("models_listed", one, NEW)
        await turns()
    async with FakeCore(folder=tmp_path) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        assert await catalog.ask("list_models", core.instance("one", url=FAR)) == NEW


@pytest.mark.virtual
async def test_a_clock_that_was_set_back_makes_no_list_young(tmp_path: Path) -> None:
    """A list that seems to come from the future is used and requested again."""
    wall_time = Wall()
    async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        await catalog.ask("models_listed", core.instance("one", url=FAR), OLD)
        await turns()
    wall_time.now -= 86400.0
    async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        assert await catalog.ask("list_models", core.instance("one", url=FAR)) == OLD
        await turns()
        assert core.models.asked == ["one"]


@pytest.mark.virtual
async def test_without_a_folder_it_goes_on_in_memory(tmp_path: Path) -> None:
    """It is said once; nobody's answer fails."""
    file = tmp_path / "file"
    file.write_text("in the way")
    async with FakeCore(folder=file) as core, core.plugged(CatalogPlugin, MINUTES) as catalog:
        one, two = core.instance("one", url=FAR), core.instance("two", url=FAR)
        for instance in (one, two, one):
            await catalog.ask("models_listed", instance, OLD)
            await turns()
        assert await catalog.ask("list_models", one) == OLD
        assert catalog.failures == {}
    assert [what for what, _ in core.unkept] == ["model lists"]
