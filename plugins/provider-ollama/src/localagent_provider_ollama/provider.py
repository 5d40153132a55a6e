"""The provider for Ollama's instances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import msgspec

from localagent import ChatResponse, CompletionResponse, EmbedResponse, Instance, LocalAgentError, ModelInfo, Request
from localagent.errors import ModelNotFound, RequestRejected, UpstreamProtocol
from localagent.http_answers import LARGE, looked_through
from localagent.records import read_up_to
from localagent.timing import PhaseTimer
from localagent_provider_ollama.answers import chat_response, completion_response, embed_response
from localagent_provider_ollama.bodies import chat_body, completion_body, embedding_body
from localagent_provider_ollama.decoder import LONGEST_NAME, OllamaDecoder
from localagent_provider_ollama.failures import BROKEN_JSON
from localagent_provider_ollama.models import essence, model_info, name_of, same_model
from localagent_provider_ollama.native import Shown, Tag, Tags, Version
from localagent_provider_ollama.settings import OllamaSettings
from localagent_provider_ollama.warmth import Warmth

if TYPE_CHECKING:
    from localagent import Attempt, Decoder, HttpAnswer, ProviderSetup, Transport

T = TypeVar("T")
DETAIL_SECONDS = 1.0  # timeout for the details of one model; a model that hangs must not block the list
DETAILS_SECONDS = 2.0  # timeout for all details of one listing

MOST_SHOWN = 1000  # the most models whose details are kept in memory

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, application/x-ndjson"}


@attrs.frozen
class _Line:
    """The means to ask an instance about itself."""

    instance: Instance
    transport: Transport
    phases: PhaseTimer


class OllamaProvider:
    """A provider for Ollama's instances.

    Args:
        setup: The setup from the core.
        instances: The instances at startup.
        headers: Headers for each instance, including its key.
    """

    default_model: str | None = None

    def __init__(
        self, setup: ProviderSetup, instances: Sequence[Instance], headers: Mapping[Instance, Mapping[str, str]]
    ) -> None:
        self.instances: Sequence[Instance] = tuple(instances)
        self._setup = setup
        self._settings: OllamaSettings = setup.settings
        self._headers = {instance: {**HEADERS, **own} for instance, own in headers.items()}
        self._warmth = Warmth(setup.core.clock)
        self._shown: dict[tuple[str, str], Shown] = {}
        self._late: set[tuple[str, str]] = set()

    async def open(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        """Send a chat and return the complete answer."""
        body = chat_body(attempt.request.document, attempt.target.model, self._settings, stream=False)
        raw, checked = await self._whole(attempt, transport, "/api/chat", body)
        return chat_response(raw, attempt, checked=checked)

    async def complete(self, attempt: Attempt, transport: Transport) -> CompletionResponse:
        """Send a text completion and return the complete answer."""
        body = completion_body(attempt.request.document, attempt.target.model, self._settings, stream=False)
        raw, checked = await self._whole(attempt, transport, "/api/generate", body)
        return completion_response(raw, attempt, checked=checked)

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        """Send inputs and return their embeddings."""
        body = embedding_body(attempt.request.document, attempt.target.model, self._settings)
        raw, checked = await self._whole(attempt, transport, "/api/embed", body, numbers=True)
        return embed_response(raw, attempt, asked=len(body["input"]), checked=checked)

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        """Send a chat or completion and return its stream."""
        request = attempt.request
        chat = attempt.call.operation == "chat"
        make, path = (chat_body, "/api/chat") if chat else (completion_body, "/api/generate")
        body = make(request.document, attempt.target.model, self._settings, stream=True)
        answer = await self._post(attempt, transport, path, body)
        attempt.phases.enter("first_token")
        return answer, OllamaDecoder(
            attempt,
            max_line=self._setup.common.size_limits.event,
            with_usage=bool((request.get("stream_options") or {}).get("include_usage")),
            chat=chat,
        )

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """Ask an instance for its models, for those that are loaded, and for the details of those not seen before.

        Only the list itself is required: missing details or a missing list of loaded models are not an error.
        """
        line = _Line(instance, transport, phases)
        tags = [tag for tag in (await self._ask(line, "/api/tags", Tags)).readable() if _is_named(tag)]
        until = self._setup.core.clock() + DETAILS_SECONDS
        running = await self._tried(self._ask(line, "/api/ps", Tags), until) or Tags()
        loaded = {name_of(tag): tag for tag in running.readable()}
        await self._learn(line, tags, until)
        return [
            model_info(
                tag,
                instance,
                shown=self._shown.get(_key(tag)),
                loaded=loaded.get(name_of(tag)),
                num_ctx=self._settings.num_ctx,
            )
            for tag in tags
        ]

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Ask for Ollama's version, which does not load a model."""
        await self._ask(_Line(instance, transport, phases), "/api/version", Version)

    async def _learn(self, line: _Line, tags: Sequence[Tag], until: float) -> None:
        """Ask for the details of models not seen before; those that failed the last time come last."""
        new = {_key(tag): tag for tag in tags[:MOST_SHOWN] if _key(tag) not in self._shown}
        if len(self._shown) + len(new) > MOST_SHOWN:
            self._shown.clear()
            self._late.clear()
        for key in sorted(new, key=self._late.__contains__):
            shown = await self._tried(self._details(line, new[key]), until)
            if shown is None:
                self._late.add(key)
            else:
                self._shown[key] = shown

    async def _details(self, line: _Line, tag: Tag) -> Shown:
        """Return a model's details; empty ones if the instance refuses to send them."""
        try:
            return essence(await self._ask(line, "/api/show", Shown, {"model": name_of(tag)}))
        except RequestRejected:
            return Shown()

    async def _tried(self, question: Awaitable[T], until: float) -> T | None:
        """Return an answer; None if the instance fails to send it, or takes too long."""
        try:
            async with asyncio.timeout(min(DETAIL_SECONDS, until - self._setup.core.clock())):
                return await question
        except (LocalAgentError, TimeoutError):
            return None

    async def _ask(self, line: _Line, path: str, kind: type[T], about: Mapping[str, Any] | None = None) -> T:
        """Ask an instance about itself, or about one of its models."""
        instance = line.instance
        body = None if about is None else msgspec.json.encode(about)
        method = "GET" if body is None else "POST"
        answer = await line.transport.send(method, instance.url + path, self._headers_of(instance), body, line.phases)
        if not _accepts(answer):
            raise await self._setup.refusal(answer, instance.id)
        raw = await read_up_to(answer, self._setup.common.size_limits.models, f"The server's answer at {path}")
        try:
            return msgspec.json.decode(raw, type=kind)
        except BROKEN_JSON:
            raise UpstreamProtocol(f"The server's answer at {path} is not valid.", target=instance.id) from None

    async def _whole(
        self, attempt: Attempt, transport: Transport, path: str, body: Mapping[str, Any], *, numbers: bool = False
    ) -> tuple[bytes, bool]:
        """Return the complete body of an answer, and whether it was checked; large bodies are."""
        answer = await self._post(attempt, transport, path, body)
        attempt.phases.enter("read")
        raw = await answer.read()
        return raw, len(raw) > LARGE and await looked_through(raw, numbers=numbers)

    async def _post(self, attempt: Attempt, transport: Transport, path: str, body: Mapping[str, Any]) -> HttpAnswer:
        """Send a request and return the answer if its status is a success; the model is loaded then."""
        target, phases, warmth = attempt.target, attempt.phases, self._warmth
        encoded = Request(dict(body)).encode()
        phases.cold = not warmth.knows(target, body)
        headers = self._headers_of(target.instance)
        answer = await transport.send("POST", target.instance.url + path, headers, encoded, phases)
        phases.cold = False
        if not _accepts(answer):
            error = await self._setup.refusal(answer, str(target))
            if isinstance(error, ModelNotFound):
                self._unlearn(attempt)
            raise error
        warmth.answered(target, body)
        attempt.defer(lambda outcome: warmth.answered(target, body))
        return answer

    def _unlearn(self, attempt: Attempt) -> None:
        """List the instance's models again if the last list contained this one."""
        known = attempt.state.models
        if known is not None and same_model(attempt.target.model, known):
            self._setup.core.spawn(self._list_again(attempt.target.instance), "list models again")

    async def _list_again(self, instance: Instance) -> None:
        await self._setup.core.models.refresh(instance)

    def _headers_of(self, instance: Instance) -> Mapping[str, str]:
        return self._headers.get(instance, HEADERS)


def _key(tag: Tag) -> tuple[str, str]:
    return tag.digest[:LONGEST_NAME], name_of(tag)


def _is_named(tag: Tag) -> bool:
    return 0 < len(name_of(tag)) <= LONGEST_NAME


def _accepts(answer: HttpAnswer) -> bool:
    return 200 <= answer.status < 204
