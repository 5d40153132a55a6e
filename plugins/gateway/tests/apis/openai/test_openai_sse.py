"""The writer of chat and completion events, where a cache or another server's stream stands behind it."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from localagent import AnswerStream, Chunk, Usage
from localagent_gateway.apis.openai.sse import EventWriter

TEXT = Chunk(b'{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"delta":{}}]}', "Hi")
USAGE = Chunk(b'{"id":"c-1","choices": [ ],"usage": {"prompt_tokens":3}}')
BESIDE = Chunk(b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}')
NULL = Chunk(b'{"choices":[{"delta":{"role":"assistant"}}],"usage":null}')
DONE = b"data: [DONE]\n\n"


class Ended:
    """What a writer reads of a stream that ended well."""

    def __init__(self, usage: Usage | None) -> None:
        self.usage = usage


def written(chunks: list[Chunk], *, asked: bool, usage: Usage | None = None) -> bytes:
    writer = EventWriter(with_usage=asked)
    return writer.chunks(chunks) + writer.end(cast("AnswerStream", Ended(usage)))


def events(*chunks: Chunk) -> bytes:
    return b"".join(b"data: %b\n\n" % chunk.data for chunk in chunks)


def test_usage_from_a_cache_stays_behind_unless_it_is_asked_for() -> None:
    """Anyone who filled the cache asked for it; this client did not."""
    assert written([TEXT, USAGE], asked=False) == events(TEXT) + DONE
    assert written([USAGE], asked=False) == DONE
    assert written([TEXT, USAGE], asked=True) == events(TEXT, USAGE) + DONE


@pytest.mark.parametrize("asked", [False, True])
def test_what_has_a_choice_beside_usage_goes_out(asked: bool) -> None:
    """It is part of the answer, in the server's own bytes; so is a usage that is null."""
    assert written([NULL, TEXT, BESIDE], asked=asked, usage=Usage(3, 2, 5)) == events(NULL, TEXT, BESIDE) + DONE


def test_usage_that_was_asked_for_is_told_where_the_stream_has_none() -> None:
    """From a cache that was filled without it, or from a server that counts elsewhere."""
    got = written([NULL, TEXT], asked=True, usage=Usage(3, 2, 5, cached_tokens=1))
    event, rest = got.removeprefix(events(NULL, TEXT)).split(b"\n\n", 1)
    assert rest == DONE
    seen = msgspec.json.decode(event.removeprefix(b"data: "))
    assert (seen["id"], seen["object"], seen["created"], seen["model"]) == ("c-1", "chat.completion.chunk", 7, "m")
    assert seen["choices"] == []
    assert (seen["usage"]["total_tokens"], seen["usage"]["prompt_tokens_details"]) == (5, {"cached_tokens": 1})


def test_usage_that_nobody_counted_is_not_made_up() -> None:
    """Asked for or not."""
    assert written([TEXT], asked=True) == events(TEXT) + DONE
