"""A call keeps time for the targets that are left, and asks those that are known as unhealthy last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localagent import Attempt, Client, GiveUp, LocalAgentError, Plugin, Retry, hookimpl
from localagent.errors import ConnectFailed, UpstreamServerError, UpstreamTimeout
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProvider, FakeProviderPlugin

pytestmark = pytest.mark.virtual

FOREVER = 1e9


class Next(Plugin):
    """Tries the next target, as far as the error says that it may help."""

    name = "failure-next"

    @hookimpl
    async def on_failure(self, attempt: Attempt, error: LocalAgentError) -> Retry | None:
        tried = {other.target for other in attempt.call.attempts}
        left = any(target not in tried for target in attempt.call.candidates)
        return Retry("next") if left and error.advice.next else None


class Stops(Plugin):
    """Never tries again."""

    name = "failure-stops"

    @hookimpl
    async def on_failure(self) -> GiveUp:
        return GiveUp()


async def hangs_before_connect(attempt: Attempt) -> None:
    await asyncio.sleep(FOREVER)


async def hangs_in_connect(attempt: Attempt) -> None:
    attempt.phases.enter("connect")
    await asyncio.sleep(FOREVER)


async def hangs_before_the_head(attempt: Attempt) -> None:
    attempt.phases.enter("first_token")
    await asyncio.sleep(FOREVER)


async def hangs_in_the_body(attempt: Attempt) -> None:
    attempt.phases.enter("read")
    await asyncio.sleep(FOREVER)


async def loads_forever(attempt: Attempt) -> None:
    attempt.phases.cold = True
    attempt.phases.enter("first_token")
    await asyncio.sleep(FOREVER)


HANGING: list[Callable[[Attempt], Any]] = [
    hangs_before_connect, hangs_in_connect, hangs_before_the_head, hangs_in_the_body, loads_forever,
]  # fmt: skip


def alias_of(replies: dict[str, Reply], hang: Callable[[Attempt], Any] | None = None) -> type[FakeProviderPlugin]:
    """A provider with an instance for each reply; one that is called ``hangs...`` hangs."""

    class Provider(FakeProvider):
        async def chat(self, attempt: Attempt, transport: Any) -> Any:
            await self._hang(attempt)
            return await super().chat(attempt, transport)

        async def stream(self, attempt: Attempt, transport: Any) -> Any:
            await self._hang(attempt)
            return await super().stream(attempt, transport)

        async def _hang(self, attempt: Attempt) -> None:
            if hang is not None and attempt.target.instance.id.startswith("hangs"):
                self._ask(attempt)
                await hang(attempt)

    kind = fake_provider_plugin(replies)
    kind._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    return kind


@asynccontextmanager
async def client_of(fake: Any, *plugins: Any, **settings: Any) -> AsyncIterator[Client]:
    settings = {"health": {"enabled": False}, **settings}
    async with Client(settings, plugins=[fake, *plugins], environment={}, seed=1) as client:
        yield client
        runtime = await client.runtime()
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0] * len(
            runtime.instances
        )


async def text_of(client: Client, streamed: bool, **more: Any) -> str:
    if streamed:
        return await client.stream("Hello.", **more).text()
    return (await client.chat("Hello.", **more)).text


def now() -> float:
    return asyncio.get_running_loop().time()


OK = Reply("ok")


@pytest.mark.parametrize("hang", HANGING)
@pytest.mark.parametrize("hanging", [1, 2])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("more", [{}, {"timeout": 10.0}, {"timeout": 3.0}], ids=["default", "10 s", "3 s"])
async def test_a_target_that_hangs_does_not_take_the_time_of_the_next(
    hang: Callable[[Attempt], Any], hanging: int, streamed: bool, more: dict[str, Any]
) -> None:
    """With the default time limits too: the last of two, or of three, answers."""
    fake = alias_of({**{f"hangs{number}": OK for number in range(hanging)}, "well": OK}, hang)
    async with client_of(fake, Next) as client:
        assert await text_of(client, streamed, **more) == "ok"
        assert [asked.instance for asked in fake.asked][-1] == "well"


@pytest.mark.parametrize(
    "timeouts", [{"first_token": "20 s"}, {"first_token": "8 s"}, {"first_token": "1 h", "connect": "1 h"}], ids=str
)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("hang", [hangs_in_connect, hangs_before_the_head])
async def test_the_users_own_limits_leave_time_too(
    hang: Callable[[Attempt], Any], timeouts: dict[str, str], streamed: bool
) -> None:
    """A call's time that is shorter than the sum of the limits reaches the next target anyway."""
    fake = alias_of({"hangs": OK, "well": OK}, hang)
    async with client_of(fake, Next, providers={"fake": {"type": "fake", "timeouts": timeouts}}) as client:
        start = now()
        assert await text_of(client, streamed, timeout=15.0) == "ok"
        assert now() - start <= 7.6


async def test_a_stream_that_hangs_after_its_head_is_left_in_time() -> None:
    """Roles and comments are no content: nobody has seen anything yet."""
    role = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n'
    fake = alias_of({"mute": Reply(pieces=(role, FOREVER)), "well": OK})
    async with client_of(fake, Next) as client:
        assert await text_of(client, True) == "ok"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_single_target_has_all_the_time(streamed: bool) -> None:
    async with client_of(alias_of({"slow": Reply("at last", after=250.0)}), Next) as client:
        assert await text_of(client, streamed, timeout=260.0) == "at last"


@pytest.mark.parametrize("plugins", [(), (Stops,)], ids=["no plugin", "stops"])
async def test_without_a_failure_plugin_no_time_is_kept(plugins: tuple[type[Plugin], ...]) -> None:
    """Nobody would use it: the call ends with its first failure. A plugin that may use it costs the first half."""
    fake = alias_of({"slow": Reply("at last", after=250.0), "well": OK})
    async with client_of(fake, *plugins) as client:
        if plugins:
            with pytest.raises(UpstreamTimeout):
                await client.chat("Hello.", timeout=260.0)
        else:
            assert (await client.chat("Hello.", timeout=260.0)).text == "at last"


async def test_the_last_target_has_all_the_time_that_is_left() -> None:
    fake = alias_of({"hangs": OK, "slow": Reply("at last", after=290.0)}, hangs_before_the_head)
    async with client_of(fake, Next) as client:
        assert (await client.chat("Hello.")).text == "at last"


async def test_a_stream_that_has_begun_is_not_cut() -> None:
    """The share is for the time until the first content."""
    pieces = ("a", 100.0, "b", 100.0, "c", 100.0, "d", 100.0, "e")
    async with client_of(alias_of({"slow": Reply(pieces=pieces), "well": OK}), Next) as client:
        assert await text_of(client, True) == "abcde"


async def test_a_short_time_is_not_cut_into_slices_that_suffice_for_nobody() -> None:
    async with client_of(alias_of({"one": Reply("one", after=0.9), "well": OK}), Next) as client:
        assert (await client.chat("Hello.", timeout=1.2)).text == "one"


@pytest.mark.parametrize(("hang", "phase", "billed"), [
    (hangs_in_connect, "connect", "no"),
    (hangs_before_the_head, "first_token", "unknown"),
    (hangs_before_connect, "first_token", "unknown"),
])  # fmt: skip
async def test_the_error_says_where_the_time_went(hang: Callable[[Attempt], Any], phase: str, billed: str) -> None:
    fake = alias_of({"hangs": OK, "well": OK}, hang)
    settings = {"fake": {"type": "fake", "timeouts": {"connect": "1 h"}}}
    async with client_of(fake, Next, providers=settings) as client:
        await client.chat("Hello.")
        outcome = fake.asked[0].attempt.outcome
        assert outcome is not None
        assert isinstance(outcome.error, UpstreamTimeout)
        assert (outcome.error.phase, outcome.error.advice.billed) == (phase, billed)


# Unhealthy targets ----------------------------------------------------------------------------------------------------


async def test_targets_known_as_unhealthy_are_asked_last() -> None:
    """The core's order alone does that; no plugin is needed."""
    fake = alias_of({"a": OK, "b": OK, "c": OK})
    async with client_of(fake) as client:
        runtime = await client.runtime()
        first, second, third = runtime.instances
        runtime.instances.report(first, "unhealthy")
        await client.chat("Hello.")
        runtime.instances.report(second, "unhealthy")
        await client.chat("Hello.")
        runtime.instances.report(first, "healthy")
        await client.chat("Hello.")
        runtime.instances.report(first, "unhealthy")
        runtime.instances.report(third, "unhealthy")
        await client.chat("Hello.")
        assert [asked.instance for asked in fake.asked] == ["b", "c", "a", "a"]


async def test_the_order_is_else_the_users() -> None:
    fake = alias_of({name: Reply(error=UpstreamServerError("down")) for name in "abcd"})
    async with client_of(fake, Next) as client:
        runtime = await client.runtime()
        for instance in list(runtime.instances)[::2]:
            runtime.instances.report(instance, "unhealthy")
        with pytest.raises(UpstreamServerError):
            await client.chat("Hello.")
        assert [asked.instance for asked in fake.asked] == ["b", "d", "a", "c"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_after_the_first_time_nobody_waits_for_a_target_that_hangs(streamed: bool) -> None:
    fake = alias_of({"hangs": OK, "well": OK}, hangs_before_the_head)
    async with client_of(fake, Next) as client:
        await text_of(client, streamed)
        start = now()
        for _ in range(5):
            assert await text_of(client, streamed) == "ok"
        assert now() == start


async def test_a_failure_is_forgotten_where_nothing_is_checked() -> None:
    """Only a request can tell that the instance is well again; after as long as lies between two checks one does."""
    fake = alias_of({"a": OK, "b": OK})
    fake.replies = {"a": [Reply(error=ConnectFailed("down")), OK], "b": OK}
    async with client_of(fake, Next) as client:
        await client.chat("Hello.")
        await client.chat("Hello.")
        await asyncio.sleep(20)
        await client.chat("Hello.")
        await client.chat("Hello.")
        assert [asked.instance for asked in fake.asked] == ["a", "b", "b", "a", "a"]


async def test_a_check_that_fails_puts_a_target_behind() -> None:
    class Provider(FakeProvider):
        async def check(self, instance: Any, transport: Any, phases: Any) -> None:
            if instance.id == "a":
                raise UpstreamServerError("down")

    fake = fake_provider_plugin({"a": OK, "b": OK})
    fake._make = lambda self, setup: Provider(setup, self.replies, self.models, self.asked)  # type: ignore[method-assign]
    async with client_of(fake) as client:
        await client.health()
        await client.chat("Hello.")
        assert [asked.instance for asked in fake.asked] == ["b"]
