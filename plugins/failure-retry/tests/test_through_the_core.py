"""Failures on the wire, through the real core: what is sent again, where, and when."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from localagent import Attempt, Client, GiveUp, Plugin, hookimpl
from localagent.errors import (
    ConnectFailed,
    InvalidRequest,
    Overloaded,
    RateLimited,
    StreamInterrupted,
    UpstreamAuth,
    UpstreamServerError,
)
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_failure_retry import RetryPlugin
from localagent_testing import (
    Close,
    FaultServer,
    ReadRequest,
    ReceivedRequest,
    Reply,
    Script,
    Send,
    WirePlugin,
    answer,
    fake_provider_plugin,
    head,
    sse,
)

SOON = 0.01  # virtual seconds: nobody has waited


def says(status: int, body: Any = None, **headers: str) -> Script:
    """Return the script of an answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (ReadRequest(), Send(answer(status, {} if body is None else body, named)))


def content(text: str, reason: str | None = None) -> dict[str, Any]:
    """Return one chunk of a streamed answer."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def streams(*events: dict[str, Any]) -> Script:
    """Return the script of a streamed answer; the connection ends behind the last event."""
    return (ReadRequest(), Send(head(200, {"Content-Type": "text/event-stream"}) + sse(events)), Close())


OK = says(200, {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}}]})
OK_STREAM = streams(content("Hi"), content("", "stop"))
UNAUTHORIZED = says(401, {"error": {"message": "Incorrect API key.", "code": "invalid_api_key"}})


@contextlib.asynccontextmanager
async def client_of(
    *urls: str, also: Sequence[type[Plugin]] = (), retry: dict[str, Any] | None = None, keys: Sequence[str] = ()
) -> AsyncIterator[Client]:
    """Open a client with failure-retry, and one provider with these addresses and keys."""
    given = {
        "default_model": "wire/model",
        "providers": {"wire": {"instances": list(urls), "keys": [{"env": key} for key in keys]}},
        "plugins": {"failure-retry": retry or {}},
        "health": {"enabled": False},
    }
    environment = {key: key.lower() for key in keys}
    async with Client(
        given, plugins=[AiohttpConnectPlugin, WirePlugin, RetryPlugin, *also], environment=environment, seed=3
    ) as client:
        yield client


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """Give a list that holds the virtual seconds of the block once it is over."""
    spent: list[float] = []
    clock = asyncio.get_running_loop().time
    begun = clock()
    yield spent
    spent.append(clock() - begun)


@contextlib.contextmanager
def nobody_listens() -> Iterator[str]:
    """Give an address that refuses connections; the port stays taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.virtual
async def test_a_server_that_was_busy_is_asked_again() -> None:
    """503, then 200 on the same server: the caller sees the answer alone."""
    async with FaultServer([says(503), OK]) as server, client_of(server.url) as client:
        with timed() as spent:
            assert (await client.chat("Hello")).text == "Hi"
        assert len(server.requests) == 2
        assert 0 < spent[0] <= 1.0


@pytest.mark.virtual
async def test_a_healthy_server_answers_at_once_while_the_first_asks_to_wait() -> None:
    """The hint of A is no reason to wait for B."""
    async with (
        FaultServer([says(429, retry_after="20")]) as a,
        FaultServer(OK) as b,
        client_of(a.url, b.url) as client,
    ):
        with timed() as spent:
            assert (await client.chat("Hello")).text == "Hi"
        assert (len(a.requests), len(b.requests)) == (1, 1)
        assert spent[0] < SOON


@pytest.mark.virtual
async def test_a_server_that_is_down_is_passed_over() -> None:
    """Nobody listens at A; B answers at once."""
    async with FaultServer(OK) as b:
        with nobody_listens() as a:
            async with client_of(a, b.url) as client:
                with timed() as spent:
                    assert (await client.chat("Hello")).text == "Hi"
        assert spent[0] < SOON


@pytest.mark.virtual
async def test_a_server_that_is_down_and_alone_is_tried_as_often_as_allowed() -> None:
    """It may be starting."""
    with nobody_listens() as url:
        async with client_of(url, retry={"attempts_per_target": 4}) as client:
            with timed() as spent, pytest.raises(ConnectFailed) as caught:
                await client.chat("Hello")
    assert caught.value.attempts == 4
    assert 0 < spent[0] <= 0.05 + 0.1 + 0.2


@pytest.mark.virtual
async def test_another_key_is_tried_when_the_first_is_wrong() -> None:
    """401 to the first key; the second one at the same address answers, and the first is not tried again."""

    def choose(request: ReceivedRequest) -> Script:
        return OK if request.header("Authorization") == "Bearer second" else UNAUTHORIZED

    async with FaultServer(choose) as server, client_of(server.url, keys=["FIRST", "SECOND"]) as client:
        with timed() as spent:
            assert (await client.chat("Hello")).text == "Hi"
        assert len(server.requests) == 2
        assert spent[0] < SOON


@pytest.mark.virtual
async def test_a_wrong_request_is_sent_once() -> None:
    """400: neither again nor to the other server."""
    async with FaultServer([says(400)]) as a, FaultServer(OK) as b, client_of(a.url, b.url) as client:
        with pytest.raises(InvalidRequest):
            await client.chat("Hello")
        assert (len(a.requests), len(b.requests)) == (1, 0)


@pytest.mark.virtual
async def test_the_only_server_is_given_the_time_it_asks_for() -> None:
    """At least the hint, at most a quarter more."""
    async with FaultServer([says(429, retry_after="8"), OK]) as server, client_of(server.url) as client:
        with timed() as spent:
            assert (await client.chat("Hello")).text == "Hi"
        assert 8.0 <= spent[0] <= 10.0 + SOON


@pytest.mark.virtual
@pytest.mark.parametrize(("hint", "timeout"), [("3600", 7200.0), ("30", 20.0)])
async def test_a_wait_that_is_too_long_is_the_callers(hint: str, timeout: float) -> None:
    """Longer than max_wait, or than the call's time: the error comes at once and says how long."""
    async with FaultServer([says(429, retry_after=hint)]) as server, client_of(server.url) as client:
        with timed() as spent, pytest.raises(RateLimited) as caught:
            await client.chat("Hello", timeout=timeout)
        assert caught.value.retry_after == float(hint)
        assert len(server.requests) == 1
        assert spent[0] < SOON


@pytest.mark.virtual
async def test_a_conflict_is_repeated_once() -> None:
    """409: the same server a second time, and no other one."""
    async with FaultServer([says(409), says(409)]) as a, FaultServer(OK) as b, client_of(a.url, b.url) as client:
        with pytest.raises(UpstreamServerError):
            await client.chat("Hello")
        assert (len(a.requests), len(b.requests)) == (2, 0)


@pytest.mark.virtual
async def test_a_server_that_says_no_retry_is_not_asked_again() -> None:
    """``x-should-retry: false`` speaks for that server; the other one is asked."""
    refusal = says(503, x_should_retry="false")
    async with FaultServer([refusal]) as a, FaultServer([refusal]) as b, client_of(a.url, b.url) as client:
        with pytest.raises(Overloaded):
            await client.chat("Hello")
        assert (len(a.requests), len(b.requests)) == (1, 1)


@pytest.mark.virtual
async def test_a_wrong_key_elsewhere_leads_back() -> None:
    """A is busy, B has a wrong key: A is asked again after its pause, and answers."""
    async with FaultServer([says(503), OK]) as a, FaultServer([UNAUTHORIZED]) as b, client_of(a.url, b.url) as client:
        assert (await client.chat("Hello")).text == "Hi"
        assert (len(a.requests), len(b.requests)) == (2, 1)


@pytest.mark.virtual
async def test_an_instance_that_was_drained_meanwhile_is_not_asked_again() -> None:
    """A was busy and is then taken out of service, B has a wrong key: nothing is left to try."""
    async with contextlib.AsyncExitStack() as stack:
        a = await stack.enter_async_context(FaultServer([says(503), OK]))

        def choose(request: ReceivedRequest) -> Script:
            core.instances.drain(next(iter(core.instances)))
            return UNAUTHORIZED

        b = await stack.enter_async_context(FaultServer(choose))
        client = await stack.enter_async_context(client_of(a.url, b.url))
        core = await client.runtime()
        with pytest.raises(UpstreamAuth):
            await client.chat("Hello")
        assert (len(a.requests), len(b.requests)) == (1, 1)


@pytest.mark.virtual
async def test_attempts_do_not_multiply() -> None:
    """Three servers that always fail: six attempts (``max_attempts``) in all, whatever a target is allowed."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(FaultServer(says(500))) for _ in range(3)]
        client = await stack.enter_async_context(
            client_of(*(server.url for server in servers), retry={"attempts_per_target": 100})
        )
        with pytest.raises(UpstreamServerError) as caught:
            await client.chat("Hello")
        assert sum(len(server.requests) for server in servers) == 6
        assert caught.value.attempts == 6
        assert min(len(server.requests) for server in servers) >= 1


async def streamed(client: Client) -> str:
    async with client.stream("Hello") as stream:
        return "".join([chunk.text async for chunk in stream])


@pytest.mark.virtual
async def test_a_stream_that_is_cut_before_its_first_content_moves_on() -> None:
    """The caller sees the other server's stream alone."""
    cut = streams({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    async with FaultServer([cut]) as a, FaultServer(OK_STREAM) as b, client_of(a.url, b.url) as client:
        assert await streamed(client) == "Hi"
        assert (len(a.requests), len(b.requests)) == (1, 1)


@pytest.mark.virtual
async def test_a_stream_that_is_cut_after_content_is_not_sent_again() -> None:
    """One upstream request: what was handed out cannot be taken back. The error has what had arrived."""
    cut = streams(content("Hel"), content("lo"))
    async with FaultServer([cut]) as a, FaultServer(OK_STREAM) as b, client_of(a.url, b.url) as client:
        with pytest.raises(StreamInterrupted) as caught:
            await streamed(client)
        assert caught.value.partial == "Hello"
        assert (len(a.requests), len(b.requests)) == (1, 0)


class Fallback(Plugin):
    """Ends a call with an error of its own."""

    name = "failure-fallback"

    @hookimpl
    def on_failure(self, attempt: Attempt) -> GiveUp:
        """Give up."""
        return GiveUp(InvalidRequest("The fallback was asked."))


class Continuation(Plugin):
    """Has no advice."""

    name = "failure-continue"

    @hookimpl
    def on_failure(self, attempt: Attempt) -> None:
        """Say nothing."""


@pytest.mark.virtual
async def test_its_place_is_between_continue_and_fallback() -> None:
    """By declaration, not by name; both may be absent."""
    async with FaultServer(OK) as server, client_of(server.url, also=[Fallback, Continuation]) as client:
        steps = (await client.runtime()).pipeline.plan("chat").on_failure
    assert [step.plugin for step in steps] == ["failure-continue", "failure-retry", "failure-fallback"]


@pytest.mark.virtual
async def test_what_it_does_not_decide_the_next_plugin_decides() -> None:
    """A fallback is asked when nothing is left to retry, and not before."""
    async with FaultServer([says(503), says(503)]) as server, client_of(server.url, also=[Fallback]) as client:
        with pytest.raises(InvalidRequest, match="The fallback was asked"):
            await client.chat("Hello")
        assert len(server.requests) == 2


@pytest.mark.virtual
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_target_that_hangs_is_left_with_the_default_limits(streamed: bool) -> None:
    """The next one is asked within the call's time, and the call after that asks it first."""
    fake = fake_provider_plugin({"hangs": Reply(after=1e9), "well": Reply("ok")})
    async with Client({"health": {"enabled": False}}, plugins=[fake, RetryPlugin], environment={}, seed=1) as client:
        for _ in range(2):
            answered = client.stream("Hello").text() if streamed else client.chat("Hello")
            assert str(getattr(got := await answered, "text", got)) == "ok"
    assert [asked.instance for asked in fake.asked] == ["hangs", "well", "well"]


@pytest.mark.virtual
async def test_settings_are_read_as_people_write_them() -> None:
    """Durations with units; the plugin's defaults where nothing is said."""
    async with FaultServer(OK) as server, client_of(server.url, retry={"max_wait": "5 min"}) as client:
        settings = (await client.runtime()).pipeline.plugins["failure-retry"].settings
    assert (settings.max_wait, settings.attempts_per_target, settings.throttle_cap) == (300.0, 2, 20.0)
