"""The common base of the gateway's APIs: the client, the settings, and a request's options for caches and details."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from localagent import CachePolicy, Client, ModelInfo, Principal, Request, Response
from localagent.errors import InvalidRequest
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream
from localagent.timing import let_others_run
from localagent_gateway.apis.answers import AnswerBody, StreamWriter, answer_headers, wants_details
from localagent_gateway.apis.bodies import BLOCK, BodyLimits, ShapeCount
from localagent_gateway.apis.request_checks import check_demand, check_scope, demands_call
from localagent_gateway.settings import GatewaySettings

CACHE = CachePolicy()
LARGE = 1_000_000  # bytes; decoding and encoding a larger body each take a millisecond or more
LIST_SECONDS = 5.0  # timeout for an instance to list its models; a slower one does not delay the lists of the others


class Service:
    """Sends the requests of one worker into the pipeline.

    Args:
        client: The open client.
        settings: The gateway's settings.

    Attributes:
        client: The client.
        settings: The settings.
        wall_time: Returns the seconds since the epoch.
        draining: Whether a shutdown has started.
    """

    def __init__(self, client: Client, settings: GatewaySettings, wall_time: Callable[[], float]) -> None:
        self.client = client
        self.settings = settings
        self.wall_time = wall_time
        self.draining = False
        self._limits = BodyLimits(settings.max_depth, settings.max_messages, settings.max_values)

    async def document(self, request: HttpRequest) -> dict[str, Any]:
        """Return the JSON object of a request's body; see ``BodyLimits.read``.

        The contents of a large body are counted in many short steps, between which other requests continue.
        """
        body, limits = request.body, self._limits
        if len(body) <= LARGE:
            return limits.read(body)
        count = ShapeCount(limits.values, limits.depth)
        for start in range(0, len(body), BLOCK):
            count.add(body[start : start + BLOCK])
            await asyncio.sleep(0)
        await let_others_run(len(body))
        return limits.decode(body)

    async def answer(
        self, request: Request, incoming: HttpRequest, principal: Principal, cache: CachePolicy | None = None
    ) -> Response:
        """Send a request through the pipeline and return the whole answer.

        Args:
            request: The request.
            incoming: The request that came in.
            principal: The caller.
            cache: The cache policy; by default that of the request's headers.

        Raises:
            LocalAgentError: The call failed.
        """
        check_scope(request, principal)
        if request.operation == "chat" and demands_call(request):
            await check_demand(request, principal, await self.client.runtime())
        await let_others_run(len(incoming.body))
        return await self.client.send(
            request, principal=principal, cache=cache or cache_policy(incoming.headers), receipt=wants_details(incoming)
        )

    async def stream(
        self, request: Request, incoming: HttpRequest, principal: Principal, writer: StreamWriter
    ) -> HttpStream:
        """Send a request through the pipeline; return when the first content has arrived.

        Raises:
            LocalAgentError: The call failed before any content arrived.
        """
        check_scope(request, principal)
        if request.operation == "chat" and demands_call(request):
            await check_demand(request, principal, await self.client.runtime())
        await let_others_run(len(incoming.body))
        stream = self.client.send_stream(
            request, principal=principal, cache=cache_policy(incoming.headers), receipt=wants_details(incoming)
        )
        try:
            await stream.__aenter__()
        except BaseException:
            await stream.aclose()
            raise
        headers = {**answer_headers(stream), "cache-control": "no-cache"}
        return HttpStream(AnswerBody(stream, writer), writer.content_type, headers)

    def respond(self, response: Response, body: bytes) -> HttpResponse:
        """Return a whole answer in the bytes of an API, with the headers that describe it."""
        return HttpResponse(200, body, answer_headers(response))

    async def models(self, principal: Principal) -> list[ModelInfo]:
        """Return the models that the caller may use: aliases, then the models of all instances; each name once.

        Aliases are always included. For providers that do not answer, the models named in the settings are included.

        Raises:
            LocalAgentError: No instance answered, and the settings name no models.
        """
        runtime = await self.client.runtime()
        listed, errors = await runtime.models.all(LIST_SECONDS)
        found = {name: ModelInfo(name, owner="localagent") for name in runtime.settings.models}
        for model in (*listed, *runtime.models.configured(errors)):
            found.setdefault(model.name, model)
        if errors and not found:
            raise next(iter(errors.values()))
        return [model for name, model in found.items() if principal.models is None or name in principal.models]

    async def listed(self) -> list[ModelInfo]:
        """Return the models that instances list; instances that do not answer are left out."""
        models, _ = await (await self.client.runtime()).models.all(LIST_SECONDS)
        return models


def cache_policy(headers: Mapping[str, str]) -> CachePolicy:
    """Return the policy of ``Cache-Control``: no-cache, no-store, only-if-cached, max-age.

    Raises:
        InvalidRequest: ``max-age`` is not a number.
    """
    given = headers.get("cache-control")
    if not given:
        return CACHE
    words = {word.strip().lower() for word in given.split(",")}
    age = next((word.removeprefix("max-age=") for word in words if word.startswith("max-age=")), None)
    if age is not None and not (age.isascii() and age.isdigit()):
        raise InvalidRequest("max-age in Cache-Control must be a number of seconds.")
    return CachePolicy(
        lookup=words.isdisjoint({"no-cache", "no-store"}),
        store="no-store" not in words,
        only="only-if-cached" in words,
        max_age=float(age) if age is not None else None,
    )
