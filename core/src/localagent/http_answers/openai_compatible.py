"""The base of providers whose servers use the OpenAI schema over HTTP, as most do.

A plugin for another such server subclasses ``OpenAICompatible`` or uses it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.errors import UpstreamProtocol
from localagent.http_answers.density import LARGE, looked_through
from localagent.http_answers.openai_stream import OpenAIDecoder
from localagent.http_answers.whole_answers import chat_response, completion_response, embed_response
from localagent.records.instances import Instance
from localagent.records.responses import ChatResponse, CompletionResponse, Decoder, EmbedResponse, ModelInfo
from localagent.records.transport import read_up_to
from localagent.timing.phases import PhaseTimer

if TYPE_CHECKING:
    from localagent.plugin_api.providers import ProviderSetup
    from localagent.records.attempt import Attempt
    from localagent.records.transport import HttpAnswer, Transport

JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class OpenAICompatible:
    """A provider whose servers use the OpenAI schema.

    Args:
        setup: The settings and services that the core passes.
        instances: The instances at the start.
        headers: Headers of each instance, including its key.
    """

    default_model: str | None = None

    def __init__(
        self, setup: ProviderSetup, instances: Sequence[Instance], headers: Mapping[Instance, Mapping[str, str]]
    ) -> None:
        self.setup = setup
        self.instances: Sequence[Instance] = tuple(instances)
        self._headers = {instance: {**JSON_HEADERS, **headers.get(instance, {})} for instance in instances}

    async def open(self) -> None:
        """Do nothing; there is nothing to open."""

    async def aclose(self) -> None:
        """Do nothing; there is nothing to close."""

    def url(self, instance: Instance) -> str:
        """Return the base address of an instance; override this if the address can change."""
        return instance.url

    def headers(self, instance: Instance) -> Mapping[str, str]:
        """Return the headers of an instance."""
        return self._headers.get(instance, JSON_HEADERS)

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        """Send a chat and return the complete answer."""
        answer = await self._post(attempt, transport, "/chat/completions")
        raw = await answer.read()
        checked = len(raw) > LARGE and await looked_through(raw)
        return chat_response(raw, attempt, checked=checked)

    async def complete(self, attempt: Attempt, transport: Transport) -> CompletionResponse:
        """Send a text completion and return the complete answer."""
        answer = await self._post(attempt, transport, "/completions")
        raw = await answer.read()
        checked = len(raw) > LARGE and await looked_through(raw)
        return completion_response(raw, attempt, checked=checked)

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        """Send inputs and return their embeddings."""
        answer = await self._post(attempt, transport, "/embeddings")
        raw = await answer.read()
        checked = len(raw) > LARGE and await looked_through(raw, numbers=True)
        return embed_response(raw, attempt, checked=checked)

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        """Send a chat or text completion and return its stream with a decoder."""
        path = "/chat/completions" if attempt.call.operation == "chat" else "/completions"
        asked = (attempt.request.get("stream_options") or {}).get("include_usage", False)
        fields: dict[str, Any] = {"stream": True}
        if attempt.call.plan.needs_usage and not asked:
            fields["stream_options"] = {**(attempt.request.get("stream_options") or {}), "include_usage": True}
        answer = await self._post(attempt, transport, path, **fields)
        size_limits = self.setup.common.size_limits
        decoder = OpenAIDecoder(attempt, max_event=size_limits.event, max_body=size_limits.body, with_usage=asked)
        return answer, decoder

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """Ask an instance for its models."""
        answer = await transport.send("GET", self.url(instance) + "/models", self.headers(instance), None, phases)
        if not 200 <= answer.status < 204:
            raise await self.setup.refusal(answer, instance.id)
        try:
            body = await read_up_to(answer, self.setup.common.size_limits.models, "The server's model list")
            rows = msgspec.json.decode(body, type=_ModelList).data
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamProtocol("The server's model list cannot be read.", target=instance.id) from None
        return [self.model_info(row, instance) for row in rows if isinstance(row, dict) and row.get("id")]

    def model_info(self, row: Mapping[str, Any], instance: Instance) -> ModelInfo:
        """Return name and owner from a row of the model list. Override it for servers that report more.

        Args:
            row: The row; it has an ``id``.
            instance: The instance that sent it.
        """
        return ModelInfo(str(row["id"]), instance.provider, instance.id, owner=str(row.get("owned_by") or ""))

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Check an instance by requesting its model list, which costs nothing."""
        await self.list_models(instance, transport, phases)

    async def _post(self, attempt: Attempt, transport: Transport, path: str, **fields: Any) -> HttpAnswer:
        """Send a request and return the answer if its status is one of success."""
        target = attempt.target
        body = attempt.request.encode(model=target.model, **fields)
        url = self.url(target.instance) + path
        answer = await transport.send("POST", url, self.headers(target.instance), body, attempt.phases)
        if not 200 <= answer.status < 204:
            raise await self.setup.refusal(answer, str(target))
        return answer


class _ModelList(msgspec.Struct):
    data: list[Any]  # not typed further, so that one invalid row does not hide the others
