"""``play``: everything that a fault expects is checked, each on its own, and a failure says what was wrong."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
import pytest

from localagent.errors import (
    Advice,
    Overloaded,
    RateLimited,
    StreamInterrupted,
    UpstreamError,
    UpstreamProtocol,
    UpstreamTimeout,
)
from localagent.records.responses import Usage
from localagent.timing import Timeouts
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT
from localagent_testing.faults import NO_HINT, Ask, Expect, Fault, Heard, Hint, Says, driver, play
from localagent_testing.faults.driver import Call
from localagent_testing.faults.exchanges import does, replies
from localagent_testing.faults.records import Scene
from localagent_testing.http_bytes import answer
from localagent_testing.steps import ReadRequest, Script, Send, Stall

GOOD = replies(answer(200, "x"))
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


def asking(
    *, error: Exception | None = None, heard: Heard | None = None, kept: list[asyncio.StreamWriter] | None = None
) -> Call:
    """Return a call that sends a request, reads the answer's head and ends as told.

    Args:
        error: What it raises.
        heard: What it returns, when it does not raise.
        kept: Takes the connection, which is closed otherwise.
    """

    async def call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        await said_at(url, kept)
        if error is not None:
            raise error
        return heard or Heard("fine")

    return call


async def no_call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
    """Fail without asking anybody."""
    raise UpstreamProtocol("Broken.")


async def said_at(url: str, kept: list[asyncio.StreamWriter] | None = None) -> str:
    """Send a request and return the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split("/")[2].rpartition(":")[2]))
    try:
        writer.write(REQUEST)
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        if kept is None:
            writer.transport.abort()
        else:
            kept.append(writer)


async def judged(expect: Expect, call: Call, **fault: Any) -> str:
    """Play one fault and return the verdict's detail; empty when it passed."""
    row = attrs.evolve(Fault("F1", "test", GOOD, expect), **fault)
    verdict = await play(row, "openai", call, ceiling=2.0)
    assert verdict.passed == (verdict.detail == "")
    return verdict.detail


ERROR = Expect(errors=(UpstreamProtocol,))
FINE = Expect(text="fine")


async def test_the_right_outcome_passes() -> None:
    """An error of the type, or the text."""
    assert await judged(ERROR, asking(error=UpstreamProtocol("Broken."))) == ""
    assert await judged(FINE, asking()) == ""


async def test_the_call_is_told_what_to_ask_and_where() -> None:
    """Address with the protocol's own part, canaries, timeouts, size_limits, and a prompt of the size wanted."""
    seen: list[tuple[str, Ask, Timeouts]] = []

    async def call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        seen.append((url, ask, timeouts))
        return Heard("fine")

    row = Fault("F1", "test", GOOD, Expect(text="fine", requests=0), operation="stream", prompt_size=5000, choices=2)
    assert (await play(row, "openai", call)).passed
    assert (await play(attrs.evolve(row, prompt_size=0), "ollama", call)).passed
    (url, ask, timeouts), (ollama_url, small, _) = seen
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/v1")
    assert ollama_url.count("/") == 2
    assert (ask.protocol, ask.operation, ask.choices, ask.key) == ("openai", "stream", 2, CANARY_KEY)
    assert (small.prompt, len(ask.prompt)) == (CANARY_PROMPT, 5000)
    assert timeouts == row.timeouts


@pytest.mark.parametrize(
    ("expect", "error", "complaint"),
    [
        (FINE, UpstreamError("No."), "it raised UpstreamError: No."),
        (ERROR, Overloaded("Busy."), "it raised Overloaded (Busy.) instead of UpstreamProtocol"),
        (ERROR, ValueError("x"), "not a LocalAgentError"),
        (
            Expect(errors=(UpstreamTimeout,), phase="first_token"),
            UpstreamTimeout("Late.", phase="idle"),
            "the phase is 'idle' instead of 'first_token'",
        ),
        (Expect(errors=(UpstreamError,), code="a"), UpstreamError("No.", code="b"), "the code is 'b' instead of 'a'"),
        (
            Expect(errors=(UpstreamError,), says=Says(same=True)),
            UpstreamError("No.", advice=Advice(same=False)),
            "the advice same is False instead of True",
        ),
        (
            Expect(errors=(UpstreamError,), says=Says(breaker="alive")),
            UpstreamError("No."),
            "the advice breaker is 'neutral' instead of 'alive'",
        ),
        (
            Expect(errors=(RateLimited,), retry_after=NO_HINT),
            RateLimited("No.", retry_after=0.0),
            "0.0 instead of None",
        ),
        (Expect(errors=(RateLimited,), retry_after=Hint(1, 2)), RateLimited("No."), "None instead of 1 to 2"),
        (Expect(errors=(UpstreamError,), shown=("why",)), UpstreamError("No."), "does not show 'why'"),
        (Expect(errors=(UpstreamError,), hidden=("No",)), UpstreamError("No."), "the error shows 'No'"),
        (Expect(errors=(UpstreamError,)), UpstreamError("a\nb"), "contains control characters"),
        (
            Expect(errors=(UpstreamError,)),
            UpstreamError("No.", upstream_request_id="\x1b"),
            "request id was taken",
        ),
        (Expect(errors=(UpstreamError,)), UpstreamError("No.", upstream_request_id="r" * 999), "request id was taken"),
        (Expect(errors=(UpstreamError,)), UpstreamError(f"Bad key {CANARY_KEY}."), "the canary key is in the error"),
        (
            Expect(errors=(StreamInterrupted,), causes=(Overloaded,)),
            StreamInterrupted("Cut.", cause=UpstreamError("No.")),
            "the cause is UpstreamError('No.') instead of Overloaded",
        ),
        (
            Expect(errors=(StreamInterrupted,), causes=(UpstreamTimeout,), phase="idle"),
            StreamInterrupted("Cut.", phase="idle", cause=UpstreamTimeout("Late.", phase="total")),
            "the phase is 'total' instead of 'idle'",
        ),
        (
            Expect(errors=(StreamInterrupted,), partial="Hello"),
            StreamInterrupted("Cut.", partial="Hell"),
            "the partial text is 'Hell' instead of 'Hello'",
        ),
    ],
)
async def test_a_wrong_error_is_named(expect: Expect, error: Exception, complaint: str) -> None:
    """Type, cause, phase, code, advice, hint, text, partial text, canaries."""
    assert complaint in await judged(expect, asking(error=error))


async def test_a_prompt_in_a_linked_exception_is_found() -> None:
    """The chain of causes is searched too."""

    async def call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        try:
            raise ValueError(ask.prompt)
        except ValueError as error:
            raise UpstreamProtocol("Broken.") from error

    assert "the canary prompt is in the error" in await judged(attrs.evolve(ERROR, requests=0), call)


@pytest.mark.parametrize(
    ("expect", "heard", "complaint"),
    [
        (ERROR, Heard("fine"), "it succeeded with 'fine' instead of UpstreamProtocol"),
        (FINE, Heard("fin"), "the text is 'fin' instead of 'fine'"),
        (Expect(text="fine", usage=(3, 2)), Heard("fine", Usage(3, 3)), "the usage is (3, 3) instead of (3, 2)"),
        (Expect(text="fine", usage=(3, 2)), Heard("fine"), "the usage is None"),
        (Expect(text="fine", model="m"), Heard("fine", model="n"), "the model is 'n' instead of 'm'"),
        (Expect(text="", tool_calls=(("f", "{}"),)), Heard(""), "the tool calls is () instead of (('f', '{}'),)"),
    ],
)
async def test_a_wrong_success_is_named(expect: Expect, heard: Heard, complaint: str) -> None:
    """Text, usage, model, tool calls, and success where there should be none."""
    assert complaint in await judged(expect, asking(heard=heard))


async def test_success_or_error_may_both_be_right() -> None:
    """Then a success is not looked at further, and an error still has to be the right one."""
    either = attrs.evolve(ERROR, may_succeed=True)
    assert await judged(either, asking()) == ""
    assert "Overloaded" in await judged(either, asking(error=Overloaded("Busy.")))


async def test_the_number_of_requests_counts() -> None:
    """A retry that nobody asked for is seen."""
    once = asking()

    async def twice(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        await once(url, ask, timeouts)
        return await once(url, ask, timeouts)

    assert await judged(FINE, twice) == "the server read 2 requests instead of 1"


async def test_an_open_connection_is_seen_where_it_must_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that keeps it fails; one that closes it passes."""
    monkeypatch.setattr(driver, "CLOSING_TIME", 0.1)
    closed = attrs.evolve(FINE, closed=True)
    kept: list[asyncio.StreamWriter] = []
    assert await judged(closed, asking(kept=kept)) == "the connection was not closed"
    kept[0].transport.abort()
    assert await judged(closed, asking()) == ""


async def test_a_warning_in_the_log_is_seen_where_all_is_well() -> None:
    """INFO is nobody's trouble."""

    async def call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        logging.getLogger("some.client").info("I am fine.")
        logging.getLogger("some.client").warning("Odd %s.", "thing")
        return Heard("fine")

    quiet = Expect(text="fine", quiet=True, requests=0)
    assert await judged(quiet, call) == "it was logged: some.client: Odd thing."


async def test_a_call_that_does_not_end_is_broken_off() -> None:
    """The verdict reports it."""
    row = Fault("F1", "test", does(ReadRequest(), Stall()), attrs.evolve(ERROR, closed=True))
    verdict = await play(row, "openai", asking(), ceiling=0.05)
    assert not verdict.passed
    assert "did not end within 0.05 s" in verdict.detail


async def test_a_call_goes_before_where_a_warm_connection_is_wanted() -> None:
    """Two calls then; when the first fails, that is a failure too."""
    assert await judged(attrs.evolve(FINE, requests=2), asking(), warm=True) == ""
    broken = asking(error=UpstreamProtocol("Broken."))
    assert "the call before it failed" in await judged(attrs.evolve(ERROR, requests=2), broken, warm=True)


async def test_a_call_is_under_way_where_one_is_wanted_beside() -> None:
    """Its request has arrived when the judged one begins; it is broken off at the end."""
    order: list[str] = []

    async def call(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        order.append("in")
        try:
            if len(order) == 1:
                await asking()(url, ask, timeouts)
                await asyncio.Event().wait()
            return Heard("fine")
        finally:
            order.append("out")

    assert await judged(FINE, call, beside=True, setup="one connection") == ""
    assert order == ["in", "in", "out", "out"]
    broken = await judged(attrs.evolve(ERROR, requests=0), no_call, beside=True, setup="one connection")
    assert broken == "the request of the call beside it did not arrive"


async def test_a_second_server_must_not_be_spoken_to() -> None:
    """Following a redirect is seen."""

    def moved(scene: Scene) -> Script:
        return (ReadRequest(), Send(answer(307, headers={"Location": scene.elsewhere})))

    async def follows(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        head = await said_at(url)
        await said_at(head.partition("Location: ")[2].split()[0])
        return Heard("fine")

    verdict = await play(Fault("F1", "test", moved, FINE, setup="second host"), "openai", follows)
    assert verdict.detail == f"the second server was contacted ({len(REQUEST)} bytes)"


async def test_what_is_excluded_is_neither_shown_nor_passed() -> None:
    """The reason is the detail; a protocol that the row does not have is a mistake of the tester's."""
    verdict = await play(Fault("F1", "test", excluded="Too hard."), "openai", asking())
    assert (verdict.shown, verdict.passed, verdict.detail) == (False, False, "Too hard.")
    with pytest.raises(ValueError, match="does not exist in the protocol ollama"):
        await play(Fault("F1", "test", GOOD, FINE, ("openai",)), "ollama", asking())
