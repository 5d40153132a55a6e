"""What the official client makes of an answer that was split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from chat_events import HEAD, USAGE

from localagent.schema.joining import split_document


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """The official client, before a server that answers every request with this document, split."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    events: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"".join(b"data: %b\n\n" % event for event in [*events, b"[DONE]"]))

        def log_message(self, *_: Any) -> None:
            pass

    def serve(document: dict[str, Any]) -> Any:
        events[:] = split_document(document)
        return client

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        base_url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=10) as client:
                yield serve
        finally:
            server.shutdown()
            thread.join()


def test_the_official_client_joins_split_events_to_the_same_answer(reader: Callable[[dict[str, Any]], Any]) -> None:
    """Its own accumulator ends with every choice's text, calls, reasoning and end, and with the usage."""
    from openai.lib.streaming.chat import ChatCompletionStreamState

    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first = {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "2"}], "reasoning": "hm"}
    second = {"role": "assistant", "content": "Hello", "refusal": None}
    choices = [
        {"index": 0, "message": first, "logprobs": None, "finish_reason": "tool_calls"},
        {"index": 1, "message": second, "logprobs": None, "finish_reason": "stop"},
    ]
    client = reader({**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE})
    state = ChatCompletionStreamState()
    with client.chat.completions.create(model="m", messages=[], n=2, stream=True) as stream:
        for event in stream:
            list(state.handle_chunk(event))
    theirs = state.get_final_completion()
    assert (theirs.object, theirs.usage.model_dump(exclude_none=True)) == ("chat.completion", USAGE)
    assert [choice.finish_reason for choice in theirs.choices] == ["tool_calls", "stop"]
    assert theirs.choices[1].message.content == "Hello"
    assert theirs.choices[0].message.model_extra["reasoning"] == "hm"
    found = [(tool.id, tool.function.name, tool.function.arguments) for tool in theirs.choices[0].message.tool_calls]
    assert found == [("1", "f", "{}"), ("2", "f", "{}")]


def test_the_official_client_reads_the_pieces_of_a_text_completion(reader: Callable[[dict[str, Any]], Any]) -> None:
    """Text, end and usage come, each once."""
    choice = {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}
    document = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    with reader({**document, "usage": USAGE}).completions.create(model="m", prompt="x", stream=True) as stream:
        pieces = list(stream)
    found = [(choice.text, choice.finish_reason) for piece in pieces for choice in piece.choices]
    assert found == [("ab", None), ("", "stop")]
    assert [piece.usage is not None for piece in pieces] == [False, False, True]
