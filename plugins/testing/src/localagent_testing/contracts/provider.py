"""The contract of providers: every operation, and the errors for a server's refusals."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from localagent import LocalAgentError, Usage
from localagent.errors import (
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    RateLimited,
    UpstreamAuth,
    UpstreamServerError,
)
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries
from localagent_testing.connection import ReceivedRequest
from localagent_testing.contracts.base import CLOSING_SECONDS
from localagent_testing.contracts.provider_streams import Streams
from localagent_testing.contracts.served import NAME, error_of, says
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import answer, chunk, encoded, head
from localagent_testing.steps import ReadRequest, Script, Send, Stall

__all__ = ["ProviderContract"]

REFUSALS: list[tuple[int, Mapping[str, str], type[LocalAgentError], float | None]] = [
    (403, {}, PermissionDenied, None),
    (429, {"Retry-After": "7"}, RateLimited, 7.0),
    (500, {}, UpstreamServerError, None),
]


class ProviderContract(Streams):
    """The promises of every provider; see ``localagent.plugin_api.providers.Provider``.

    The author names the plugin and the server whose protocol it uses::

        class TestMine(ProviderContract):
            plugin = MyPlugin
            server = OpenAIServer()

    ``settings`` returns further settings besides address and key.
    """

    # Operations

    async def test_a_chat_is_answered(self) -> None:
        """The answer has text, finish reason, tokens, and names the model, the instance and the call."""
        async with self.serving(chat=self.server.chat("Hello.")) as (_, client):
            response = await client.chat(CANARY_PROMPT)
        assert (response.text, response.finish_reason, response.model) == ("Hello.", "stop", f"{NAME}/m")
        assert response.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
        assert response.message["role"] == "assistant"
        assert response.request_id
        assert response.instance

    async def test_a_completion_is_answered(self) -> None:
        """A text is continued; a protocol without completions raises an error before anything is sent."""
        async with self.serving(complete=self.server.completion(" and on")) as (server, client):
            if not await self.refused_unsupported("complete", client.complete("On"), server):
                assert (await client.complete("On")).text == " and on"

    async def test_embeddings_are_read(self) -> None:
        """Vectors come in the order of the inputs; a protocol without embeddings raises an error."""
        vectors = [[0.5, -1.0], [1e-9, 2.0]]
        async with self.serving(embed=self.server.embeddings(vectors)) as (server, client):
            if not await self.refused_unsupported("embed", client.embed(["a", "b"]), server):
                response = await client.embed(["a", "b"])
                assert response.vectors == vectors
                assert all(isinstance(number, float) for row in response.vectors for number in row)

    async def test_models_are_listed(self) -> None:
        """Each model is listed with its provider and the instance that has it."""
        async with self.serving(models=self.server.models(["a", "b:7b"])) as (server, client):
            if not await self.refused_unsupported("models", client.models(), server):
                models = await client.models()
                instance = {model.instance for model in models}
                assert [model.name for model in models] == [f"{NAME}/a", f"{NAME}/b:7b"]
                assert instance == {state.instance.id for state in await client.health()}

    async def test_a_check_costs_nothing(self) -> None:
        """Health is checked without a request to a model."""
        async with self.serving(models=self.server.models(["a"])) as (server, client):
            (state,) = await client.health()
            assert (state.health, state.error) == ("healthy", "")
            asked = {self.server.operation(request) for request in server.requests}
            assert asked.isdisjoint({"chat", "stream", "complete", "embed"})

    async def test_a_check_sees_that_nobody_is_there(self) -> None:
        """A server that is gone is not healthy."""
        async with FaultServer(()) as server:
            url = server.url
        async with self.client(url + self.server.dialect.prefix) as client:
            (state,) = await client.health()
            assert state.health == "unhealthy"
            assert state.error

    # Fields

    async def test_the_servers_own_model_name_is_sent(self) -> None:
        """A model's name may contain slashes; the provider's own name is not sent."""
        async with self.serving(chat=self.server.chat("Hello.")) as (server, client):
            response = await client.chat("Hello.", model=f"{NAME}/org/model:7b")
            sent = (server.requests[0].path + server.requests[0].body.decode()).replace("%2F", "/")
        assert response.model == f"{NAME}/org/model:7b"
        assert "org/model:7b" in sent
        assert NAME + "/" not in sent

    async def test_unknown_fields_of_a_request_are_sent_or_refused(self) -> None:
        """A field that a provider cannot send is an error; it is never dropped silently."""
        async with self.serving(chat=self.server.chat("Hello.")) as (server, client):
            error = await error_of(client.chat("Hello.", vendor_field="vendor value"))
            if error is None:
                assert b"vendor value" in server.requests[0].body
            else:
                assert (type(error), error.code, server.requests) == (InvalidRequest, "unsupported", [])

    async def test_unknown_fields_of_an_answer_live_on(self) -> None:
        """Fields that a server adds to its answer are available to the caller."""
        async with self.serving(chat=self.server.chat("Hello.", vendor={"a": ["vendor value"]})) as (_, client):
            response = await client.chat("Hello.")
        assert b"vendor value" in msgspec.json.encode([response.document, response.facts])

    async def test_the_key_is_sent_in_its_header_alone(self) -> None:
        """The key is sent in one header, never in an address or a body."""
        async with self.serving(chat=self.server.chat("Hello.")) as (server, client):
            await client.chat("Hello.")
            (request,) = server.requests
        holding = [name for name, value in request.headers if CANARY_KEY in value]
        assert [name.lower() for name in holding] == [self.server.key_header.lower()]
        assert request.header(self.server.key_header) == self.server.key_scheme + CANARY_KEY
        assert CANARY_KEY not in request.path + request.body.decode()

    # Errors

    async def test_a_wrong_key_is_told(self, canaries: Canaries) -> None:
        """A refused key is ``UpstreamAuth``, or ``PermissionDenied``; another target may be tried; no key is shown."""
        script = says(self.server.wrong_key(), self.server.wrong_key_status)
        error = await self.failure_of_chat(script, canaries)
        assert isinstance(error, UpstreamAuth | PermissionDenied)
        assert (error.advice.same, error.advice.next, error.advice.billed) == (False, True, "no")

    async def test_a_missing_model_is_told(self, canaries: Canaries) -> None:
        """An unknown model is ``ModelNotFound``, which shows that the server is alive."""
        script = says(self.server.missing_model("m"), self.server.missing_model_status)
        error = await self.failure_of_chat(script, canaries)
        assert isinstance(error, ModelNotFound)
        assert (error.advice.next, error.advice.breaker) == (True, "alive")

    @pytest.mark.parametrize(("status", "headers", "kind", "wait"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
    async def test_a_status_becomes_its_error(
        self, status: int, headers: Mapping[str, str], kind: type[LocalAgentError], wait: float, canaries: Canaries
    ) -> None:
        """A refusal becomes a typed error, with the server's message and the wait that it asks for."""
        script = says(self.server.dialect.error("Not today."), status, headers)
        error = await self.failure_of_chat(script, canaries)
        assert (type(error), error.retry_after) == (kind, wait)

    async def test_an_answer_cut_anywhere_is_an_error(self) -> None:
        """A cut answer is always an error, at whatever byte it was cut."""
        body = encoded(self.server.chat("Hello."))
        scripts = [says(body[:size]) for size in range(len(body))]
        async with FaultServer(list(scripts)) as server, self.asking(server) as client:
            for _ in scripts:
                with pytest.raises(LocalAgentError):
                    await client.chat("Hello.")

    async def test_errors_say_where_they_happened(self, canaries: Canaries) -> None:
        """An error names provider, target, call and attempts."""
        error = await self.failure_of_chat(says(self.server.dialect.error("No."), 500), canaries)
        assert (error.provider, error.attempts) == (NAME, 1)
        assert f"{NAME}/m" in (error.target or "")
        assert error.request_id

    # Many, cancelled, closed

    async def test_answers_are_not_mixed_up(self) -> None:
        """Thirty calls at the same time each get their own answer."""

        def script(request: ReceivedRequest) -> Script:
            asked = re.search(rb"question (\d+)", request.body)
            assert asked
            return (Send(answer(200, self.server.chat(f"answer {asked[1].decode()}"))),)

        async with FaultServer(script) as server, self.asking(server) as client:
            answers = await asyncio.gather(*(client.chat(f"question {number}") for number in range(30)))
        assert [response.text for response in answers] == [f"answer {number}" for number in range(30)]

    async def test_connections_are_used_again(self) -> None:
        """Consecutive calls share a connection, streamed or not."""
        async with self.serving(chat=self.server.chat("Hello.")) as (server, client):
            for _ in range(3):
                await client.chat("Hello.")
            assert server.connections.accepted == 1

    @pytest.mark.parametrize("said", [b"", b"half"], ids=["before the answer", "within the answer"])
    async def test_cancelling_closes_the_connection(self, said: bytes) -> None:
        """A call that is cancelled closes its connection at once, and its slot is free."""
        half = (Send(head(200, {"Transfer-Encoding": "chunked"}) + chunk(said)),) if said else ()
        waiting: Script = (ReadRequest(), *half, Stall())
        good: Script = (ReadRequest(), Send(answer(200, self.server.chat("Hello."))))
        async with (
            FaultServer([waiting, good]) as server,
            self.asking(server, pool={"limit": 1}) as client,
        ):
            task = asyncio.ensure_future(client.chat("Hello."))
            await server.arrived()
            for _ in range(20 if said else 0):  # until the beginning of the answer has been read
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)
            assert (await client.chat("Hello.")).text == "Hello."

    async def test_what_it_is_made_of_shows_no_key(self, canaries: Canaries) -> None:
        """Neither the provider nor its instances show the key in their repr."""
        async with self.serving(chat=self.server.chat("Hello.")) as (_, client):
            runtime = await client.runtime()
            for source in runtime.fleet.registry.providers.values():
                things: list[Any] = [source.provider, source.common, *source.provider.instances]
                for thing in things:
                    canaries.watch(repr(thing))
                    canaries.watch(str(thing))

    async def test_closing_twice_is_closing_once(self) -> None:
        """A provider may be closed before it was opened, and twice."""
        async with self.serving(chat=self.server.chat("Hello.")) as (_, client):
            runtime = await client.runtime()
            for source in runtime.fleet.registry.providers.values():
                await source.provider.aclose()
                await source.provider.aclose()
