"""The scripted provider: what a test writes down is what every instance answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent import Attempt, Client, LocalAgentError, Usage
from localagent.errors import Overloaded, StreamInterrupted
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import FakeProviderPlugin, Replies

pytestmark = pytest.mark.virtual


def client(fake: type[FakeProviderPlugin], **settings: Any) -> Client:
    return Client({"health": {"enabled": False}, **settings}, plugins=[fake], environment={})


async def answers(replies: Replies, count: int = 3) -> list[str]:
    """The texts, or the kinds of errors, of calls one after the other."""
    seen = []
    async with client(fake_provider_plugin(replies)) as asker:
        for _ in range(count):
            (answer,) = await asyncio.gather(asker.chat("Hello."), return_exceptions=True)
            seen.append(type(answer).__name__ if isinstance(answer, BaseException) else answer.text)
    return seen


async def test_it_is_there_without_settings() -> None:
    """One instance, one model, ``ok``."""
    fake = fake_provider_plugin()
    async with client(fake) as asker:
        response = await asker.chat("Hello.")
        assert [model.name for model in await asker.models()] == ["fake/m"]
        assert [state.health for state in await asker.health()] == ["healthy"]
    assert (response.text, response.instance, response.model, response.finish_reason) == ("ok", "one", "fake/m", "stop")
    assert response.usage == Usage(3, 2, 5)


async def test_replies_come_as_they_are_written() -> None:
    """The same for ever, one after the other, or what a function says about the attempt."""
    assert await answers(Reply("a")) == ["a"] * 3
    assert await answers(Overloaded("busy")) == ["Overloaded"] * 3
    assert await answers([Reply("a"), Overloaded("busy"), Reply("b")], 4) == ["a", "Overloaded", "b", "b"]
    counted = iter(range(9))

    def said(attempt: Attempt) -> Reply:
        return Reply(f"{next(counted)} {attempt.call.operation}")

    assert await answers(said) == ["0 chat", "1 chat", "2 chat"]


async def test_time_passes_on_the_loops_clock() -> None:
    """Before the answer, before the first event, and between events."""
    fake = fake_provider_plugin([Reply(after=5.0), Reply(after=2.0, pieces=("a", 3.0, "b"))])
    async with client(fake) as asker:
        begun = asyncio.get_running_loop().time()
        await asker.chat("Hello.")
        assert asyncio.get_running_loop().time() - begun == 5.0
        async with asker.stream("Hello.") as stream:
            times = [(chunk.text, asyncio.get_running_loop().time() - begun) async for chunk in stream if chunk.text]
    assert times == [("a", 7.0), ("b", 10.0)]


async def test_every_operation_answers() -> None:
    """Completions continue, embeddings measure their inputs; further fields stand in the document."""
    async with client(fake_provider_plugin(Reply("on", more={"vendor": 1}, usage=None))) as asker:
        completion = await asker.complete("Once")
        assert (completion.text, completion.usage, completion.document["vendor"]) == ("on", None, 1)
        assert (await asker.embed(["a", "bcd"])).vectors == [[1.0], [3.0]]
        assert (await asker.embed("ab")).vectors == [[2.0]]


async def test_streams_are_what_their_pieces_say() -> None:
    """Text, bytes as they are, errors, and no terminator."""
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"raw"}}]}\n\n'
    replies = [Reply(pieces=("a", raw)), Reply(pieces=("a", Overloaded("busy"))), Reply(pieces=("a",), ends=False)]
    async with client(fake_provider_plugin(replies)) as asker:
        assert await asker.stream("Hello.").text() == "araw"
        for cause in (Overloaded, type(None)):
            with pytest.raises(StreamInterrupted) as caught:
                await asker.stream("Hello.").text()
            assert isinstance(caught.value.cause, cause)


async def test_it_knows_how_everything_ended() -> None:
    """As the server would see it."""
    fake = fake_provider_plugin([
        Reply(), Overloaded("busy"), Reply(after=60.0), Reply(), Reply(pieces=("a", Overloaded("cut"))),
        Reply(pieces=("a", 60.0)), Reply(error=Overloaded("busy"), after=1.0),
    ])  # fmt: skip
    async with client(fake) as asker:
        await asyncio.gather(asker.chat("Hello."))
        await asyncio.gather(asker.chat("Hello."), return_exceptions=True)
        await asyncio.gather(asker.chat("Hello.", timeout=5.0), return_exceptions=True)
        for _ in range(2):
            await asyncio.gather(asker.stream("Hello.").text(), return_exceptions=True)
        async with asker.stream("Hello.") as stream:
            await anext(stream)
        with pytest.raises(LocalAgentError):
            await asker.stream("Hello.").text()
    ends = [asked.ended for asked in fake.asked]
    assert ends == ["answered", "failed", "cancelled", "answered", "failed", "cancelled", "failed"]
    assert {asked.instance for asked in fake.asked} == {"one"}


async def test_two_of_them_stand_side_by_side() -> None:
    """Under names of their own."""
    one, two = (
        fake_provider_plugin(Reply("1"), name="one"),
        fake_provider_plugin({"b": Reply("2")}, name="two", models=("x",)),
    )
    async with Client({"health": {"enabled": False}}, plugins=[one, two], environment={}) as asker:
        assert [(await asker.chat("Hello.", model=model)).text for model in ("", "one/m", "two/x")] == ["1", "1", "2"]
    assert (len(one.asked), len(two.asked), one.made[0].closed) == (2, 1, True)
