"""A table of upstream answers, told in every API, streamed and whole: the same in each, in the words of the API."""

from __future__ import annotations

import json
from typing import Any

import attrs
import httpx
import pytest
from openai_upstreams import settings_for
from read_in_apis import (
    anthropic_message,
    data_of,
    last_response,
    read_by_anthropic,
    read_by_ollama,
    read_by_responses,
)
from upstream_answers import ANSWERS, Answer, Call, Told

from localagent.schema import AnswerEvent, AnswerReader, CallBegun, CallPiece, Ended, Refusal, Text, Thought
from localagent_testing import FaultServer, Send, WirePlugin, answer, chunked, head, sse

MESSAGES = [{"role": "user", "content": "Hi"}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "stream_options": {"include_usage": True}},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 10, "stop_sequences": ["END"]},
    "/api/chat": {"messages": MESSAGES},
    "/v1/responses": {"input": "Hi"},
}


@pytest.fixture(params=ANSWERS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Answer:
    found: Answer = request.param
    return found


async def test_an_answer_is_the_same_in_every_api(serve: Any, row: Answer) -> None:
    """Asked eight times of a server that streams when it is asked to."""
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    stream = opening + chunked([sse([*map(encoded, row.events), "[DONE]"])])
    whole = answer(200, encoded(row.whole))

    def script(request: Any) -> Any:
        return (Send(stream if json.loads(request.body).get("stream") else whole),)

    async with (
        FaultServer(script) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        got = {
            (path, streamed): await http.post(path, json={"model": "up/m", "stream": streamed, **asked})
            for path, asked in ASKED.items()
            for streamed in (True, False)
        }
    for (path, streamed), response in got.items():
        assert response.status_code == 200, (path, streamed, response.text)
        CHECKS[path](row, response.content, streamed)


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def check_chat(row: Answer, body: bytes, streamed: bool) -> None:
    """As it came; a stream that tells its usage elsewhere gets the event of its own that was asked for."""
    if not streamed:
        assert body == encoded(row.whole)
        return
    events = data_of(body)
    assert events[: len(row.events)] == row.events
    assert all(event["choices"] == [] and event["usage"] for event in events[len(row.events) :])
    assert body.endswith(b"data: [DONE]\n\n")


def check_messages(row: Answer, body: bytes, streamed: bool) -> None:
    """A refusal is text and a reason; calls that were cut off have no input, counts that nobody told are zero."""
    seen = row.seen
    calls = (
        seen.calls if streamed else tuple(whole_call(call) or attrs.evolve(call, arguments="{}") for call in seen.calls)
    )
    finish = "refusal" if seen.refusal or seen.finish == "content_filter" else seen.finish
    wanted = attrs.evolve(
        seen, text=seen.text + seen.refusal, refusal="", calls=calls, finish=finish, usage=seen.usage or (0, 0)
    )
    message = anthropic_message(body) if streamed else json.loads(body)
    assert ordered(read_by_anthropic(message)) == ordered(wanted)


def check_ollama(row: Answer, body: bytes, streamed: bool) -> None:
    """A refusal is content; calls that were cut off are left out, and one is no reason to end."""
    seen = row.seen
    calls = tuple(call for call in seen.calls if whole_call(call))
    finish = "stop" if seen.finish == "tool_calls" else seen.finish
    wanted = attrs.evolve(seen, text=seen.text + seen.refusal, refusal="", calls=calls, finish=finish, stop=None)
    assert ordered(read_by_ollama(body)) == ordered(wanted)
    assert (len(body.splitlines()) > 1) <= streamed


def check_responses(row: Answer, body: bytes, streamed: bool) -> None:
    """No stop sequence is reported."""
    response = last_response(body) if streamed else json.loads(body)
    assert ordered(read_by_responses(response)) == ordered(attrs.evolve(row.seen, stop=None))


CHECKS = {
    "/v1/chat/completions": check_chat,
    "/v1/messages": check_messages,
    "/api/chat": check_ollama,
    "/v1/responses": check_responses,
}


def whole_call(call: Call) -> Call | None:
    """Return a call if its arguments are an object."""
    try:
        json.loads(call.arguments)
    except ValueError:
        return None
    return call


def ordered(seen: Told) -> Told:
    """Return what was reported with arguments in one form, whatever their white space."""
    calls = [
        attrs.evolve(call, arguments=json.dumps(json.loads(call.arguments))) if whole_call(call) else call
        for call in seen.calls
    ]
    return attrs.evolve(seen, calls=tuple(calls))


@pytest.mark.parametrize("arguments", [7, "[1]", '"text"', "x", '{"a"', "{}}"])
async def test_a_call_with_something_that_is_no_object_fails_streamed_and_whole(serve: Any, arguments: Any) -> None:
    """In the APIs whose calls hold objects; where calls hold text it is handed on as it came."""
    call = {"index": 0, "id": "id1", "function": {"name": "f", "arguments": arguments}}
    event = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    stream = opening + chunked([sse([encoded(event), "[DONE]"])])

    def script(request: Any) -> Any:
        return (Send(stream if json.loads(request.body).get("stream") else answer(200, encoded(whole))),)

    async with (
        FaultServer(script) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for path, fails in (("/v1/messages", True), ("/api/chat", True), ("/v1/responses", False)):
            for streamed in (True, False):
                seen = await http.post(path, json={"model": "up/m", "stream": streamed, **ASKED[path]})
                assert seen.status_code == (502 if fails and not streamed else 200)
                assert ("not a JSON object" in seen.text) is fails, (path, streamed, seen.text)
                assert "message_stop" not in seen.text


FAILURES: dict[str, tuple[dict[str, Any], int]] = {
    "an object that calls itself an error": ({"object": "error", "message": "Out of order.", "code": 503}, 503),
    "a type that is error": ({"type": "error", "message": "Out of order."}, 502),
    "a status that is error": ({"status": "error", "detail": "Out of order."}, 502),
    "an error in a choice": (
        {"choices": [{"index": 0, "finish_reason": "error", "error": {"message": "Out of order.", "code": 429}}]},
        429,
    ),
    "an end by error": ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, 502),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("before", [[], [{"choices": [{"index": 0, "delta": {"content": "Yes."}}]}]])
async def test_an_answer_that_says_that_it_failed_is_an_error(serve: Any, failure: str, before: list[Any]) -> None:
    """In every API, whole or streamed, before its first content and behind it; what the server said is reported."""
    document, status = FAILURES[failure]
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    stream = opening + chunked([sse([*map(encoded, [*before, document]), "[DONE]"])])

    def script(request: Any) -> Any:
        return (Send(stream if json.loads(request.body).get("stream") else answer(200, encoded(document))),)

    async with (
        FaultServer(script) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for path, asked in ASKED.items():
            for streamed in (True, False):
                seen = await http.post(path, json={"model": "up/m", "stream": streamed, **asked})
                assert seen.status_code == (200 if streamed and before else status), (path, streamed, seen.text)
                assert '"error":' in seen.text
                assert ("Out of order." in seen.text) == ("Out of order." in str(document))
                assert "[DONE]" not in seen.text


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_is_read_into_the_same_events(row: Answer, streamed: bool) -> None:
    """By the reader on which the APIs stand."""
    reader = AnswerReader()
    documents = row.events if streamed else [row.whole]
    events = [event for document in documents for event in reader.read(encoded(document))] + reader.end()
    assert ordered(read_by_events(events)) == ordered(row.seen)


def read_by_events(events: list[AnswerEvent]) -> Told:
    *said, ended = events
    assert isinstance(ended, Ended)
    assert not any(isinstance(event, Ended) for event in said)
    texts = {
        kind: "".join(event.text for event in said if isinstance(event, kind)) for kind in (Text, Thought, Refusal)
    }
    pieces: dict[int, list[str]] = {}
    begun: dict[int, CallBegun] = {}
    for event in said:
        if isinstance(event, CallBegun):
            assert event.place not in begun
            begun[event.place] = event
            pieces[event.place] = []
        elif isinstance(event, CallPiece):
            pieces[event.place].append(event.arguments)
    calls = [Call(call.name, "".join(pieces[place]) or "{}", call.id or None) for place, call in begun.items()]
    usage = ended.usage
    assert ended.refused == bool(texts[Refusal])
    return Told(
        texts[Text],
        texts[Thought],
        texts[Refusal],
        tuple(calls),
        ended.finish_reason,
        (usage.prompt_tokens, usage.completion_tokens) if usage else None,
        ended.matched_stop,
    )


def test_the_table_is_large_and_names_no_row_twice() -> None:
    """A row that is lost is noticed."""
    assert len({row.name for row in ANSWERS}) == len(ANSWERS) >= 80
