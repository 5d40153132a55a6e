"""The contract of providers: the core's own OpenAI wire keeps it, and providers that are wrong in one way break it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import pytest

from localagent.errors import UpstreamServerError
from localagent.http_answers import OpenAIDecoder, chat_response
from localagent.http_answers.openai_compatible import OpenAICompatible
from localagent.plugin_api.kinds import hookimpl
from localagent.plugin_api.plugin import NoSettings, Plugin
from localagent.plugin_api.providers import ProviderType
from localagent.records.attempt import Attempt
from localagent.records.responses import ChatResponse, Chunk, Decoder, EmbedResponse
from localagent.records.transport import HttpAnswer, Transport
from localagent_testing import CANARY_KEY, OpenAIServer, ProviderContract
from localagent_testing.canaries import Canaries


class Wire(Plugin):
    name = "provider-wire"
    kind: ClassVar[type[OpenAICompatible]] = OpenAICompatible

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        make = self.kind
        return [ProviderType("wire", NoSettings, lambda setup: make(setup, *setup.instances("http://127.0.0.1:9")))]


class TestWire(ProviderContract):
    plugin = Wire
    server = OpenAIServer()


class ChatOnly(OpenAIServer):
    """A protocol without embeddings."""

    supports = frozenset({"chat", "stream", "complete", "models"})


class AddsNothing(OpenAICompatible):
    """Drops the fields that it does not know."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        known = ("messages", "temperature", "max_tokens")
        attempt.request = type(attempt.request)({name: attempt.request.get(name) for name in known})
        return await super().chat(attempt, transport)


class KnowsBetter(OpenAICompatible):
    """Makes an answer of its own."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        text = (await super().chat(attempt, transport)).text
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return chat_response(msgspec.json.encode({"choices": [choice]}), attempt)


class Talkative(OpenAICompatible):
    """Shows its headers."""

    def __repr__(self) -> str:
        return f"<{self._headers}>"


class Chatty(OpenAICompatible):
    """Puts the key into its errors."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        raise UpstreamServerError(f"It failed with {CANARY_KEY}.")


class Reversed(OpenAICompatible):
    """Gives the rows as they came."""

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        response = await super().embed(attempt, transport)
        rows = [{**row, "index": 0} for row in response.document["data"]]
        return msgspec.structs.replace(response, raw=msgspec.json.encode({"data": rows}))


class Careless(OpenAICompatible):
    """Takes the end of the bytes for the end of the stream."""

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        answer, _ = await super().stream(attempt, transport)
        return answer, NeverCut(attempt)


class NeverCut(OpenAIDecoder):
    def end(self) -> list[Chunk]:
        self.done = True
        return []


WRONG = [
    (AddsNothing, "test_unknown_fields_of_a_request_are_sent_or_refused"),
    (KnowsBetter, "test_unknown_fields_of_an_answer_live_on"),
    (KnowsBetter, "test_a_chat_is_answered"),
    (Reversed, "test_embeddings_are_read"),
    (Careless, "test_a_stream_cut_anywhere_is_told"),
]


def contract(kind: type[OpenAICompatible], server: OpenAIServer | None = None) -> ProviderContract:
    class Plugged(Wire):
        pass

    class Wrong(ProviderContract):
        plugin = Plugged

    Plugged.kind = kind
    Wrong.server = server or OpenAIServer()
    return Wrong()


@pytest.mark.parametrize(("kind", "promise"), WRONG, ids=[f"{row[0].__name__}-{row[1]}" for row in WRONG])
async def test_a_wrong_provider_breaks_the_contract(kind: type[OpenAICompatible], promise: str) -> None:
    """Each promise can fail: a provider that is wrong in one way does not keep it."""
    arguments = {"framing": "close"} if "cut" in promise else {}
    with pytest.raises(AssertionError):
        await getattr(contract(kind), promise)(**arguments)


async def test_a_protocol_without_an_operation_must_refuse_it() -> None:
    """A provider whose protocol has no embeddings may not send them anyway."""
    with pytest.raises(pytest.fail.Exception):
        await contract(OpenAICompatible, ChatOnly()).test_embeddings_are_read()


@pytest.mark.parametrize("kind", [Talkative, Chatty])
async def test_a_provider_that_shows_its_key_is_seen(kind: type[OpenAICompatible]) -> None:
    """What a provider shows of itself and in its errors is searched for the key."""
    watcher = Canaries()
    if kind is Chatty:
        await contract(kind).failure_of_chat((), watcher)
    else:
        await contract(kind).test_what_it_is_made_of_shows_no_key(watcher)
    assert watcher.search()
