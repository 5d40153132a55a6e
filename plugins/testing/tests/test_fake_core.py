"""The fake core: a plugin's hooks can be asked one by one, and everything around them is in the test's hands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent import (
    Attempt,
    ChatRequest,
    ChatResponse,
    Chunk,
    Core,
    Instance,
    ModelInfo,
    Plugin,
    Refused,
    Request,
    hookimpl,
)
from localagent.errors import InternalError, LocalRateLimited, Overloaded, PluginError
from localagent_testing import FakeCore, ManualClock


@attrs.frozen
class LimitSettings:
    limit: int = 1


class Limit(Plugin):
    """A plugin as an author would write it."""

    name = "rate-tiny"
    settings_class = LimitSettings
    closed = False

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.taken = 0

    async def __aexit__(self, *error: object) -> None:
        type(self).closed = True

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> Refused | None:
        if self.taken >= self.settings.limit:
            return Refused(LocalRateLimited("full"), self.core.random.random())
        self.taken += 1
        attempt.defer(lambda outcome: self._give())
        return None

    def _give(self) -> None:
        self.taken -= 1

    @hookimpl
    async def pre_request(self, call: Any, request: Request) -> Request | None:
        if request.get("child"):
            return request.replace(text=(await self.core.send(request.without("child"), parent=call)).text)  # type: ignore[attr-defined]
        return None

    @hookimpl
    def wrap_stream(self) -> Any:
        return self

    def feed(self, chunk: Chunk) -> None: ...

    def end(self, reason: str) -> None: ...

    @hookimpl
    def record_metric(self) -> None:
        raise ValueError


def core_of(core: Core) -> Core:
    """What type checkers hold against the protocol."""
    return core


async def test_it_is_a_core() -> None:
    """Everything that the protocol names is there."""
    async with FakeCore() as core:
        assert core_of(core) is core
        for name in vars(Core):
            if not name.startswith("_"):
                assert hasattr(core, name)


async def test_a_hook_is_asked_as_the_core_asks() -> None:
    """Results are checked, kinds kept; the plugin lives as long as the context, with the settings it is given."""
    expected = FakeCore(seed=5).random.random()
    async with FakeCore(seed=5) as core:
        async with core.plugged(Limit, LimitSettings(limit=2)) as limit:
            answers = [await limit.ask("rate_check", core.attempt()) for _ in range(3)]
            assert (answers[:2], answers[2].retry_after) == ([None, None], expected)
            assert await limit.ask("wrap_stream", core.call(stream=True)) == [limit.plugin]
        assert Limit.closed


async def test_attempts_are_closed_by_the_test() -> None:
    """What a gate has deferred runs then, and the instance's count goes back."""
    async with FakeCore() as core, core.plugged(Limit) as limit:
        attempt = core.attempt()
        await limit.ask("rate_check", attempt)
        assert (core.state(attempt.target.instance).in_flight, limit.plugin.taken) == (1, 1)
        core.close(attempt, "failed", Overloaded("busy"))
        assert (core.state(attempt.target.instance).in_flight, limit.plugin.taken) == (0, 0)
        assert attempt.outcome is not None
        assert (attempt.outcome.status, type(attempt.outcome.error)) == ("failed", Overloaded)


async def test_failures_of_steps_are_treated_as_the_hook_says() -> None:
    """What the core isolates is counted here, and what it raises is raised."""

    class Wrong(Plugin):
        name = "request-wrong"

        @hookimpl
        async def pre_request(self) -> Any:
            return 42

    async with FakeCore() as core:
        async with core.plugged(Limit) as limit:
            await limit.ask("record_metric", core.call(), None)
            assert limit.failures == {("rate-tiny", "record_metric"): 1}
        async with core.plugged(Wrong) as wrong:
            with pytest.raises(InternalError, match="request-wrong returned int"):
                await wrong.ask("pre_request", core.call(), ChatRequest({}))


async def test_a_plugin_that_does_not_fit_is_refused() -> None:
    """As the pipeline refuses it."""

    class Misspelt(Plugin):
        name = "rate-wrong"

        @hookimpl
        async def rate_chek(self) -> None: ...

    async with FakeCore() as core:
        with pytest.raises(PluginError, match="no hook named rate_chek"):
            await core.plugged(Misspelt).__aenter__()


async def test_send_answers_from_a_script_and_keeps_what_was_sent() -> None:
    """Responses, errors and functions, in order; the last one stays. Too deep is refused, as by the real core."""
    answers = [
        ChatResponse(raw=b"{}", text="one"),
        Overloaded("busy"),
        lambda request, parent: ChatResponse(raw=b"{}", text="three"),
    ]
    request = ChatRequest({"child": True})
    async with FakeCore(answers=answers) as core, core.plugged(Limit) as limit:
        call = core.call(request)
        assert (await limit.ask("pre_request", call, request)).get("text") == "one"
        with pytest.raises(Overloaded):
            await limit.ask("pre_request", call, request)
        for _ in range(2):
            assert (await limit.ask("pre_request", call, request)).get("text") == "three"
        assert [(sent.request.document, sent.parent) for sent in core.sent] == [({}, call)] * 4
        grandchild = core.call(parent=core.call(parent=call))
        with pytest.raises(InternalError, match="more than 2 calls deep"):
            await core.send(request, parent=grandchild)
    async with FakeCore() as core:
        assert (await core.send(request, parent=core.call())).text == "ok"  # type: ignore[attr-defined]


@pytest.mark.virtual
async def test_spawned_work_can_be_awaited() -> None:
    """Also what it spawns itself; what it raises is raised."""
    done: list[str] = []

    async def work(core: FakeCore) -> None:
        await asyncio.sleep(5.0)
        core.spawn(more(), "more")

    async def more() -> None:
        await asyncio.sleep(5.0)
        done.append("more")

    async def fails() -> None:
        raise ValueError("in the background")

    async with FakeCore() as core:
        core.spawn(work(core), "work")
        await core.settled()
        assert (done, core.spawned) == (["more"], ["work", "more"])
        core.spawn(fails(), "fails")
        with pytest.raises(ValueError, match="in the background"):
            await core.settled()


@pytest.mark.virtual
async def test_time_is_the_loops_or_the_tests() -> None:
    """The wall clock goes with it, from a fixed day on, unless it is given, too."""
    async with FakeCore() as core:
        begun, day = core.clock(), core.wall_time()
        await asyncio.sleep(100.0)
        assert (core.clock() - begun, core.wall_time() - day) == (100.0, 100.0)
    clock = ManualClock(5.0)
    core = FakeCore(clock=clock, wall_time=lambda: 7.0)
    clock.advance(2.5)
    assert (core.clock(), core.wall_time()) == (7.5, 7.0)


async def test_instances_and_targets_are_real() -> None:
    """The test adds them, and may write their counts."""
    async with FakeCore() as core:
        assert core.target().instance.id == "one"
        second = core.instance("two", weight=2.0)
        assert isinstance(second, Instance)
        assert (second.weight, second.provider, second.type) == (2.0, "fake", "fake")
        core.state(second).in_flight = 7
        assert core.state(second).in_flight == 7
        assert core.target("x", second, place=1).name == "fake/x"
        assert [instance.id for instance in core.instances] == ["one", "two"]


async def test_models_are_what_the_test_says() -> None:
    """An exception is raised; who was asked is kept."""
    async with FakeCore() as core:
        one, two = core.instance("one"), core.instance("two")
        core.models.lists = {"one": [ModelInfo("m")], "two": Overloaded("busy")}
        assert await core.models.refresh(one) == [ModelInfo("m")]
        with pytest.raises(Overloaded):
            await core.models.refresh(two)
        assert core.models.asked == ["one", "two"]


def test_the_folder_is_temporary_or_the_tests(tmp_path: Path) -> None:
    """It goes with the core."""

    async def folder_of(core: FakeCore) -> Path:
        async with core:
            (core.folder / "file").write_text("x")
            return core.folder

    assert not asyncio.run(folder_of(FakeCore())).exists()
    assert asyncio.run(folder_of(FakeCore(folder=tmp_path))) == tmp_path
    assert (tmp_path / "file").exists()


async def test_hooks_that_the_plugin_brings_are_the_tests() -> None:
    """What is not there is an error, as with the real core."""
    async with FakeCore() as core:
        core.hooks["rate_tiny_full"] = lambda: "called"
        assert core.hook("rate_tiny_full")() == "called"
        with pytest.raises(PluginError):
            core.hook("other")
