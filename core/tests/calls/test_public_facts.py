"""Facts that plugins make public reach the user with the answer; others do not."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Call, Client, Plugin, PublicFact, Request, hookimpl
from localagent_testing import Reply, fake_provider_plugin


class Telling(Plugin):
    """Tells what it thinks of each call."""

    name = "telling"

    @hookimpl
    async def pre_request(self, call: Call, request: Request) -> None:
        call.facts["mood"] = PublicFact("calm")
        call.facts["cost"] = PublicFact(0.25)
        call.facts["private"] = "a prompt"
        call.facts["number"] = 3


PUBLIC = {"mood": "calm", "cost": "0.25"}


async def test_public_facts_stand_in_the_facts_of_a_whole_answer() -> None:
    """Beside those of the provider, which they do not replace."""
    fake = fake_provider_plugin(Reply("ok"))
    async with Client({}, plugins=[fake, Telling]) as client:
        response = await client.chat("Hi", model="fake/m")
    assert {name: fact for name, fact in response.facts.items() if name in {*PUBLIC, "private", "number"}} == PUBLIC


async def test_public_facts_stand_in_the_facts_of_a_stream_from_its_first_content_on() -> None:
    """And still at its end."""
    fake = fake_provider_plugin(Reply("one two"))
    async with Client({}, plugins=[fake, Telling]) as client, client.stream("Hi", model="fake/m") as stream:
        begun = dict(stream.facts)
        await stream.text()
        ended = dict(stream.facts)
    assert begun == PUBLIC
    assert ended.items() >= PUBLIC.items()
    assert "private" not in ended


@pytest.mark.parametrize("value", ["a", "~!", 3, 2.5, True, "x" * 256])
def test_a_public_fact_is_a_text(value: Any) -> None:
    """Whatever it was made of."""
    fact = PublicFact(value)
    assert (fact, type(fact)) == (str(value), PublicFact)


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "a\n", "a\r\nx: y", "\0", "\x7f", "\u00e9", "\u2028", "x" * 257, "\t"]
)
def test_what_fits_no_header_is_no_public_fact(value: Any) -> None:
    """Line ends and letters beyond ASCII above all."""
    with pytest.raises(ValueError, match="256 visible ASCII"):
        PublicFact(value)
