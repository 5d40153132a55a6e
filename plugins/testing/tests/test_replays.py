"""Replays: what a cache has comes as it came live, event for event; what was not streamed comes as the same answer.

The shapes are what servers send: every head with every body and every end, 200 and more. Each is written down here in
the form in which its server documents it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest

from localagent import Attempt, CacheEntry, Chunk, Client, Plugin, hookimpl
from localagent.schema import join_events
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.fake_provider import DONE

pytestmark = pytest.mark.virtual

Event = dict[str, Any]
HELLO = {"role": "assistant", "content": ""}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
COUNTED = {"include_usage": True}
TOKEN = {"token": "he", "logprob": -0.25, "bytes": [104, 101], "top_logprobs": [{"token": "ha", "logprob": -1.5}]}


def said(index: int = 0, finish: str | None = None, more: Event | None = None, **delta: Any) -> Event:
    return {"index": index, "delta": delta, "finish_reason": finish, **(more or {})}


def call(index: int, arguments: str, **more: Any) -> Event:
    return {"index": index, "function": {**more.pop("function", {}), "arguments": arguments}, **more}


def named(index: int, name: str) -> Event:
    return call(index, "", id=f"call_{index}", type="function", function={"name": name})


#: What stands around the choices of every event, and what comes before the first.
HEADS: dict[str, tuple[Event, list[Event]]] = {
    "openai": ({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "service_tier": "default", "system_fingerprint": "fp_1"}, []),
    "azure": ({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"},
              [{"choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}]),
    "openrouter": ({"id": "gen-1", "provider": "Somebody", "model": "a/m", "object": "chat.completion.chunk",
                    "created": 1}, []),
    "groq": ({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
              "x_groq": {"id": "req_1"}}, []),
    "bare": ({}, []),
}  # fmt: skip

#: The choices of the events between.
BODIES: dict[str, list[list[Event]]] = {
    "text": [[said(**HELLO)], [said(content="he")], [said(content="llo")]],
    "unicode": [[said(role="assistant", content="\u00e4\u2028")], [said(content="\U0001f600")],
                [said(content="\\n\n")]],
    "no role": [[said(content="he")], [said(content="llo")]],
    "a role in each": [[said(role="assistant", content="he")], [said(role="assistant", content="llo")]],
    "empty deltas": [[said(**HELLO)], [said()], [said(content="")], [said(content=None)], [said(content="x")],
                     [said()]],
    "nulls": [[said(role="assistant", content="x", refusal=None, tool_calls=None)], [said(content=None, refusal=None)]],
    "no choices between": [[said(content="x")], [], [said(content="y")]],
    "reasoning": [[said(role="assistant", content=None, reasoning_content="so")], [said(reasoning_content=" then")],
                  [said(content="x")]],
    "reasoning details": [[said(reasoning="so", reasoning_details=[{"type": "reasoning.text", "text": "so"}])],
                          [said(reasoning=" then", content="x")]],
    "refusal": [[said(role="assistant", refusal="No")], [said(refusal=", never.")]],
    "one tool": [[said(role="assistant", content=None, tool_calls=[named(0, "weather")])],
                 [said(tool_calls=[call(0, '{"ci')])], [said(tool_calls=[call(0, 'ty": "K\u00f6ln"}')])]],
    "two tools": [[said(tool_calls=[named(0, "a"), named(1, "b")])],
                  [said(tool_calls=[call(1, "{}"), call(0, "[")])], [said(tool_calls=[call(0, "]")])]],
    "whole tools": [[said(tool_calls=[call(0, "{}", id="c0", type="function", function={"name": "a"})])],
                    [said(tool_calls=[call(1, "{}", id="c1", type="function", function={"name": "b"})])]],
    "text and tool": [[said(content="Let me see.")], [said(tool_calls=[named(0, "look")])],
                      [said(tool_calls=[call(0, "{}")])]],
    "legacy function": [[said(role="assistant", function_call={"name": "f", "arguments": ""})],
                        [said(function_call={"arguments": "{}"})]],
    "log probabilities": [[said(content="he", more={"logprobs": {"content": [TOKEN], "refusal": None}})],
                          [said(content="llo", more={"logprobs": {"content": [TOKEN, TOKEN], "refusal": None}})],
                          [said(content="!", more={"logprobs": None})]],
    "two choices": [[said(**HELLO)], [said(1, **HELLO)], [said(1, content="b")], [said(content="a")],
                    [said(content="A"), said(1, content="B")]],
    "unknown fields": [[said(content="x", vendor={"a": [1, 2.0, None]})], [said(vendor={"b": True}, more={"extra": 1})],
                       [said(content="y", more={"content_filter_results": {"hate": {"filtered": False}}})]],
    "annotations": [[said(content="x")], [said(annotations=[{"type": "url_citation", "url": "http://x.invalid"}])]],
}  # fmt: skip

#: How it ends: which events, given the choices of the body and the reason.
ENDS = ("reason apart, usage apart", "reason with the last, no usage", "usage in each, reason apart")


def events_of(head: str, body: str, end: str) -> list[bytes]:
    """The data of the events of one shape, as a server writes them: the order of fields and white space are its own."""
    around, before = HEADS[head]
    choices = json.loads(json.dumps(BODIES[body]))
    indexes = sorted({choice["index"] for one in choices for choice in one})
    reason = "tool_calls" if "tool" in body else "function_call" if "function" in body else "stop"
    each: Event = {"usage": USAGE} if end.startswith("usage in each") else {}
    if end.startswith("reason with the last"):
        choices.append([said(index, reason, content="") for index in indexes])
    events = [*before, *({**around, "choices": one, **each} for one in choices)]
    if "apart" in end:
        events += [{**around, "choices": [said(index, reason)], **each} for index in indexes]
    if end.endswith("usage apart"):
        events.append({**around, "choices": [], "usage": USAGE})
    compact = (",", ":") if head == "groq" else (", ", ": ")
    return [json.dumps(event, ensure_ascii=head == "bare", separators=compact).encode() for event in events]


SHAPES = {" / ".join(shape): events_of(*shape) for shape in product(HEADS, BODIES, ENDS)}


NAMED = f"bare / text / {ENDS[0]}"


class Cache(Plugin):
    """A dictionary."""

    name = "cache-dict"
    entries: dict[Any, CacheEntry]

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return type(self).entries.get(keys[0])

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        type(self).entries[entry.key] = entry


def _answer(attempt: Attempt) -> Reply:
    """Answer with the shape that the prompt names: as a stream in pieces, else whole."""
    events = SHAPES[attempt.call.request.document["messages"][0]["content"]]
    if not attempt.call.stream:
        return Reply(usage=None, more=join_events(events))
    pieces: list[Any] = []
    for event in events:
        pieces += [b"data: " + event + b"\n\n", 1.0]
    return Reply(pieces=(*pieces, DONE), ends=False)


@asynccontextmanager
async def cached() -> AsyncIterator[tuple[Client, list[Any]]]:
    fake = fake_provider_plugin(_answer)
    cache = type("Made", (Cache,), {"entries": {}})
    async with Client({"health": {"enabled": False}}, plugins=[fake, cache], environment={}) as client:
        yield client, fake.asked


async def streamed(client: Client, shape: str, wait: float = 0.0, cache: bool = True) -> tuple[list[Chunk], Any]:
    """Read a stream; return its chunks, and what its handle tells at the end."""
    await asyncio.sleep(wait)
    async with client.stream(shape, temperature=0, stream_options=COUNTED, cache=cache) as stream:
        chunks = [chunk async for chunk in stream]
    return chunks, (stream.finish_reason, stream.usage, stream.model)


def test_there_are_more_than_a_hundred_shapes() -> None:
    """And no two of them are the same."""
    assert len({tuple(events) for events in SHAPES.values()}) == len(SHAPES) > 200


@pytest.mark.parametrize("body", BODIES)
async def test_the_replay_of_a_stream_is_the_stream(body: str) -> None:
    """Event for event and byte for byte: for who reads along, for who joins late, and for who comes after."""
    async with cached() as (client, asked):
        shapes = [shape for shape in SHAPES if f" / {body} / " in shape]
        for number, shape in enumerate(shapes, 1):
            live, late = await asyncio.gather(streamed(client, shape), streamed(client, shape, 1.5))
            await asyncio.sleep(1.0)
            assert live == late == await streamed(client, shape), shape
            assert len(asked) == number
        for shape in shapes:
            assert await streamed(client, shape, cache=False) == await streamed(client, shape), shape


@pytest.mark.parametrize("body", BODIES)
async def test_a_streamed_answer_comes_whole_as_it_joins(body: str) -> None:
    """For a call that is not streamed."""
    async with cached() as (client, asked):
        for shape in (shape for shape in SHAPES if f" / {body} / " in shape):
            chunks, reported = await streamed(client, shape)
            await asyncio.sleep(1.0)
            whole = await client.chat(shape, temperature=0)
            assert (whole.cached, whole.document) == ("cache-dict", join_events(chunk.data for chunk in chunks)), shape
            assert (whole.finish_reason, whole.usage, whole.model) == reported
        assert all(one.attempt.call.stream for one in asked)


@pytest.mark.parametrize("body", BODIES)
async def test_a_whole_answer_is_replayed_as_events_that_join_to_it(body: str) -> None:
    """With every field; what the handle tells at the end is what the answer says."""
    async with cached() as (client, asked):
        for shape in (shape for shape in SHAPES if f" / {body} / " in shape):
            whole = await client.chat(shape, temperature=0)
            await asyncio.sleep(1.0)
            chunks, reported = await streamed(client, shape)
            assert join_events(chunk.data for chunk in chunks) == whole.document, shape
            assert "".join(chunk.text for chunk in chunks) == whole.text, shape
            assert reported == (whole.finish_reason, whole.usage, whole.model)
        assert not any(one.attempt.call.stream for one in asked)


async def test_tokens_that_a_stream_was_not_asked_for_are_known_to_its_entry() -> None:
    """The stream has no event with them; a whole answer of the cache and the metrics have them."""
    async with cached() as (client, _):
        async with client.stream(NAMED, temperature=0) as stream:
            data = b"".join([chunk.data async for chunk in stream])
        assert b"usage" not in data
        await asyncio.sleep(1.0)
        whole = await client.chat(NAMED, temperature=0)
        assert (whole.cached, whole.usage) == ("cache-dict", stream.usage)
        assert whole.usage is not None
