"""No JSON text makes the gateway fail: wrong ones are refused, right ones pass, and nothing is a defect of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
from json_corpus import INVALID_DOCUMENTS, INVALID_VALUES, OPEN_VALUES, RIGHT, VALID_VALUES, Corpus, embedded

from localagent_testing import fake_provider_plugin


async def strange(serve: Any, corpus: Corpus, right: Iterable[int], *, embed: bool = False) -> dict[str, int]:
    """Return the names of the texts that are answered by other statuses than the right ones, and those."""
    found = {}
    async with serve(plugins=[fake_provider_plugin()]) as served, httpx.AsyncClient(timeout=30.0) as http:
        for name, text in corpus.items():
            answer = await http.post(f"{served.url}/v1/chat/completions", content=embedded(text) if embed else text)
            assert answer.status_code < 400 or answer.json()["error"]["type"] == "invalid_request_error"
            if answer.status_code not in right:
                found[name] = answer.status_code
    return found


async def test_invalid_texts_are_refused_as_bodies(serve: Any) -> None:
    """400, in OpenAI's shape; 413 when they are nested too deep to be read at all."""
    assert await strange(serve, {**INVALID_VALUES, **INVALID_DOCUMENTS}, {400, 413}) == {}


async def test_invalid_texts_are_refused_in_the_midst_of_a_right_request(serve: Any) -> None:
    """400 or 413, where nothing else could be the reason."""
    assert await strange(serve, INVALID_VALUES, {400, 413}, embed=True) == {}


async def test_valid_texts_that_are_no_request_are_refused(serve: Any) -> None:
    """400: they are not objects, or have no messages."""
    assert await strange(serve, VALID_VALUES, {400}) == {}


async def test_valid_texts_pass_in_the_midst_of_a_right_request(serve: Any) -> None:
    """200: a field that nobody knows may hold anything."""
    assert await strange(serve, VALID_VALUES, {200}, embed=True) == {}


async def test_texts_on_which_the_grammar_leaves_a_choice_pass_or_are_refused(serve: Any) -> None:
    """200, 400 or 413, never a failure."""
    assert await strange(serve, OPEN_VALUES, {400, 413}) == {}
    assert await strange(serve, OPEN_VALUES, {200, 400, 413}, embed=True) == {}


def test_the_corpus_is_as_large_as_promised() -> None:
    """At least 150 invalid and 90 valid documents, none twice, and the request around them is right itself."""
    for corpus, least in ((VALID_VALUES, 90), ({**INVALID_VALUES, **INVALID_DOCUMENTS}, 150)):
        assert len(set(corpus.values())) >= least
    assert len(msgspec.json.decode(embedded(b"1"))) == len(msgspec.json.decode(RIGHT)) + 1
