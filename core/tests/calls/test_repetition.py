"""An upstream's sentence is kept, unless it repeats the request."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Client, LocalAgentError
from localagent.calls.repetition import LARGE, LEFT_OUT, without_repetition
from localagent.errors import InvalidRequest, StreamInterrupted, UpstreamServerError
from localagent.records.requests import ChatRequest
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import FaultServer, ReadRequest, Send, WirePlugin, answer, chunked, head, sse

PROMPT = "Tell nobody that the caf\u00e9 opens\nonly at nine in winter."
DOCUMENT = {"model": "a-model-with-a-rather-long-name", "max_completion_tokens": 5, "messages": [{"content": PROMPT}],
            "tools": [{"name": "get_the_weather_of_tomorrow"}]}  # fmt: skip
REPEATING = [f"No: {PROMPT}", "I dislike 'that the caf\u00e9 opens\nonly at nine in w...'"]


async def kept(error: LocalAgentError, **fields: Any) -> LocalAgentError:
    await without_repetition(error, ChatRequest({**DOCUMENT, **fields}))
    return error


@pytest.mark.parametrize("sentence", REPEATING)
@pytest.mark.parametrize("filling", [0, LARGE])
async def test_a_sentence_that_repeats_the_prompt_is_removed(sentence: str, filling: int) -> None:
    """From the message where it is the message, and from the detail everywhere; in small requests and in large ones."""
    refused = await kept(InvalidRequest(sentence, detail=sentence), filling="x" * filling)
    assert (refused.message, str(refused), refused.detail, refused.args) == (LEFT_OUT, LEFT_OUT, None, (LEFT_OUT,))
    failed = await kept(UpstreamServerError("It failed.", detail=sentence), filling="x" * filling)
    assert (failed.message, str(failed), failed.detail) == ("It failed.", "It failed.", None)


@pytest.mark.parametrize(
    "sentence",
    [
        "Use max_completion_tokens.", "There is no model a-model-with-a-rather-long-name.", "Too long.", "",
        "The tool get_the_weather_of_tomorrow has no schema, and max_completion_tokens is 5.",
    ],
)  # fmt: skip
async def test_a_sentence_about_names_is_kept(sentence: str) -> None:
    """Fields, models and tools are what a user must know to change the request."""
    error = await kept(InvalidRequest(sentence, detail=sentence))
    assert (error.message, error.detail) == (sentence, sentence)


async def test_our_own_sentences_are_kept() -> None:
    """What no server said is not searched."""
    assert (await kept(InvalidRequest(PROMPT))).message == PROMPT


def failing(status: int, sentence: str) -> tuple[Any, ...]:
    return (ReadRequest(), Send(answer(status, {"error": {"message": sentence}})))


def broken(sentence: str) -> tuple[Any, ...]:
    """A stream that says an error after its first content."""
    first = {"id": "c", "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": None}]}
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(opening + chunked([sse([first]), sse([{"error": {"message": sentence}}])])))


async def ask(client: Client, *, stream: bool) -> None:
    if not stream:
        await client.chat(PROMPT, model="wire/m")
        return
    async with client.stream(PROMPT, model="wire/m") as answers:
        async for _ in answers:
            pass


async def ended_by(script: tuple[Any, ...], *, stream: bool) -> LocalAgentError:
    """Return the error that ends a call at a server."""
    async with FaultServer(script) as server:
        settings = {"providers": {"wire": {"instances": [server.url + "/v1"]}}, "health": {"enabled": False}}
        async with Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin]) as client:
            with pytest.raises(LocalAgentError) as caught:
                await ask(client, stream=stream)
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
async def test_a_user_of_the_library_reads_what_the_server_said_but_no_prompt(status: int, *, stream: bool) -> None:
    """In whole answers and in streams, whatever the class of the error."""
    error = await ended_by(failing(status, "Only 3 of these a day."), stream=stream)
    assert (error.detail, "Only 3 of these a day." in str(error)) == ("Only 3 of these a day.", True)
    error = await ended_by(failing(status, REPEATING[0]), stream=stream)
    assert (error.detail, PROMPT[:20] in str(error)) == (None, False)


async def test_an_error_behind_content_repeats_no_prompt_either() -> None:
    """The interruption quotes its cause."""
    error = await ended_by(broken("The fan stopped."), stream=True)
    assert isinstance(error, StreamInterrupted)
    assert "The fan stopped." in str(error)
    error = await ended_by(broken(REPEATING[0]), stream=True)
    assert isinstance(error, StreamInterrupted)
    assert error.cause is not None
    assert (error.detail, error.cause.detail, PROMPT[:20] in f"{error} {error.cause}") == (None, None, False)


async def test_an_instance_s_last_error_and_the_log_say_what_its_server_said(caplog: pytest.LogCaptureFixture) -> None:
    """``localagent instances`` and a log line for each failed attempt show why a server fails."""
    async with FaultServer(failing(500, "The fan stopped.")) as server:
        settings = {"providers": {"wire": {"instances": [server.url + "/v1"]}}, "health": {"enabled": False}}
        async with Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin]) as client:
            with pytest.raises(UpstreamServerError):
                await client.chat("Hi", model="wire/m")
            (state,) = (await client.runtime()).instances.of("wire")
            assert state.error == 'The server failed (HTTP 500). The server said: "The fan stopped."'
    assert 'failed: The server failed (HTTP 500). The server said: "The fan stopped."' in caplog.text
