"""Replays of what real servers said: more than a hundred shapes of answers, recorded from llama.cpp when the test runs.

Each shape is asked of the server once. A cache then has it in the form in which it came; what is read from there is
held against what was recorded: a stream event by event, anything else once it is joined.

The model answers nonsense, so it calls no tools: those shapes are in the core's tests, written down by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from localagent import Chunk, Client
from localagent.schema.joining import join_events
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server

pytest.importorskip("xllamacpp")
MemoryCachePlugin = pytest.importorskip("localagent_cache_memory").MemoryCachePlugin
SqliteCachePlugin = pytest.importorskip("localagent_cache_sqlite").SqliteCachePlugin
OpenAIPlugin = pytest.importorskip("localagent_provider_openai").OpenAIPlugin

CACHES = pytest.mark.parametrize("cache", [MemoryCachePlugin, SqliteCachePlugin], ids=["memory", "sqlite"])
CITY = {"type": "object", "properties": {"city": {"enum": ["Rom", "Oslo"]}}, "required": ["city"],
        "additionalProperties": False}  # fmt: skip
POINT = {"type": "object", "properties": {"x": {"enum": [1]}, "y": {"type": "boolean"}}, "required": ["x", "y"],
         "additionalProperties": False}  # fmt: skip


def formatted(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


#: What is said. Grammars and schemas let a model that knows nothing end well, so that its answer may be kept.
SAID: dict[str, dict[str, Any]] = {
    "text": {"grammar": 'root ::= "Hello" " there" [.!]'},
    "unicode": {"grammar": 'root ::= "Gr\u00fc\u00df dich, \u4e16\u754c \U0001f600 \\n" [a-c]'},
    "nothing": {"grammar": 'root ::= ""'},
    "stop string": {"grammar": 'root ::= "one two three four"', "stop": ["three"]},
    "json": {"response_format": formatted(POINT)},
    "thinking": {"grammar": 'root ::= "<think>so then</think>yes"', "reasoning_format": "deepseek"},
    "list": {"response_format": formatted({"type": "array", "items": {"enum": [1, "two", None]}, "maxItems": 3})},
    "choice": {"response_format": formatted(CITY)},
    "escapes": {"grammar": 'root ::= "\\"quoted\\" \\\\ \\t \u2028 </s>"'},
    "lines": {"grammar": 'root ::= ("- " [a-z] "\\n"){3}'},
}  # fmt: skip
#: What is requested about the tokens.
TOLD: dict[str, dict[str, Any]] = {
    "plain": {},
    "logprobs": {"logprobs": True},
    "top logprobs": {"logprobs": True, "top_logprobs": 3},
}
#: What else comes with it.
MORE: dict[str, dict[str, Any]] = {
    "alone": {},
    "usage": {"stream_options": {"include_usage": True}},
    "timings": {"timings_per_token": True},
    "progress": {"return_progress": True, "stream_options": {"include_usage": True}},
    "two choices": {"n": 2},
}
SHAPES = {
    " / ".join(names): {**SAID[names[0]], **TOLD[names[1]], **MORE[names[2]]} for names in product(SAID, TOLD, MORE)
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """llama.cpp's server with a model that answers nonsense."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model")), context=1024, parallel=2) as server:
        yield server


@asynccontextmanager
async def cached(server: RealServer, folder: Path, cache: Any) -> AsyncIterator[Client]:
    settings = {
        "providers": {"up": {"type": "openai", "instances": [f"{server.url}/v1"]}},
        "health": {"enabled": False},
        "state_folder": str(folder),
    }
    async with Client(settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin, cache], environment={}) as client:
        yield client


def request(name: str) -> dict[str, Any]:
    """Return what a shape asks for; its name is the prompt, for options of a stream alone make no other question."""
    return {"model": "up/tiny", "temperature": 0, "max_tokens": 200, **SHAPES[name]}


async def streamed(client: Client, name: str) -> tuple[list[Chunk], Any, str]:
    """Read a stream; return its chunks, what its handle tells at the end, and which cache answered."""
    async with client.stream(name, **request(name)) as stream:
        chunks = [chunk async for chunk in stream]
        run = stream._run
    return chunks, (stream.finish_reason, stream.usage, stream.model), run.call.cached


@CACHES
@pytest.mark.parametrize("said", SAID)
async def test_a_recorded_stream_is_replayed(llama: RealServer, tmp_path: Path, cache: Any, said: str) -> None:
    """Event by event and byte by byte; for a call that wants the whole answer, as it joins."""
    async with cached(llama, tmp_path, cache) as client:
        for name in (name for name in SHAPES if name.startswith(f"{said} / ")):
            live, reported, by = await streamed(client, name)
            assert by == "", name
            assert (live, reported, cache.name) == await streamed(client, name), name
            whole = await client.chat(name, **request(name))
            assert (whole.cached, whole.document) == (cache.name, join_events(chunk.data for chunk in live)), name


@CACHES
@pytest.mark.parametrize("said", SAID)
async def test_a_recorded_whole_answer_is_replayed(llama: RealServer, tmp_path: Path, cache: Any, said: str) -> None:
    """Byte by byte; for a call that streams, as events that join to it."""
    async with cached(llama, tmp_path, cache) as client:
        for name in (name for name in SHAPES if name.startswith(f"{said} / ")):
            live = await client.chat(name, **request(name))
            again = await client.chat(name, **request(name))
            assert (live.cached, again.cached, again.raw) == ("", cache.name, live.raw), name
            events, _, by = await streamed(client, name)
            assert by == cache.name, name
            assert join_events(chunk.data for chunk in events) == live.document, name


def test_there_are_more_than_a_hundred_shapes() -> None:
    """And no two ask for the same."""
    assert len({repr(fields) for fields in SHAPES.values()}) == len(SHAPES) > 100
