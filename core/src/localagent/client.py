"""The client: what a Python program uses."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from localagent.errors import StartError
from localagent.lifetime import Opening, opened, was_closed
from localagent.records.call import NOBODY, CachePolicy, Principal, cache_policy, principal_of
from localagent.records.requests import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    Request,
    as_messages,
    document_of,
)  # fmt: skip

if TYPE_CHECKING:
    from localagent.calls.answer_stream import AnswerStream
    from localagent.plugin_api.plugin import PluginSource
    from localagent.records.instances import InstanceState
    from localagent.records.responses import ChatResponse, CompletionResponse, EmbedResponse, ModelInfo, Response
    from localagent.records.stats import Stats
    from localagent.runtime import Runtime
    from localagent.settings.model import Settings

Messages = str | list[dict[str, Any]]


class Client:
    """Sends requests to models through a pipeline of plugins.

    Open it with ``async with``, or let its first request open it. It belongs to the event loop on which it was opened.
    In a forked child, and when its event loop has ended, it opens again.

    Example:
        import asyncio
        from localagent import Client

        async def main() -> None:
            async with Client() as client:
                response = await client.chat("Name three colours.", max_tokens=30)
                print(response.text)

        asyncio.run(main())

    Args:
        settings: ``Settings``, a mapping of the file's shape, or the file's path; None finds it as the commands do.
        plugins: Plugins instead of the installed ones: classes, factories or objects (see ``Plugin``).
        environment: The environment, for keys that the settings name; None means that of the process.
        seed: Seeds the random source of all plugins, so that a run can be repeated.
        replaces: An open client, on the same event loop, that this one replaces. Plugins with ``survives_reload``
            and unchanged settings serve both. Close the old client when its calls have ended.

    Raises:
        StartError: The settings are wrong, or a plugin is missing or broken. Raised when the client opens.

    Since: 0.1
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | Path | str | None = None,
        *,
        plugins: Sequence[PluginSource] | None = None,
        environment: Mapping[str, str] | None = None,
        seed: int | None = None,
        replaces: Client | None = None,
    ) -> None:
        self._replaces = replaces
        self._given = settings
        self._plugins = plugins
        self._environment = os.environ if environment is None else environment
        self._seed = seed
        self._runtime: Runtime | None = None
        self._opening: Opening | None = None
        self._closing: Runtime | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.runtime()
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all calls and close all connections; idempotent. Returns when nothing is open any more.

        If the client is being opened, the code that opens it gets a ``StartError``.
        """
        self._closed = True
        if self._opening is not None:
            await self._opening.end()
        runtime, self._runtime = self._runtime, None
        self._closing = runtime = runtime or self._closing
        try:
            if runtime is not None and not runtime.services.forked:
                await runtime.aclose()
        finally:
            self._closing = None

    async def chat(
        self,
        messages: Messages,
        *,
        model: str = "",
        timeout: float | None = None,
        tenant: str = "",
        cache: bool | CachePolicy = True,
        receipt: bool = False,
        **fields: Any,
    ) -> ChatResponse:
        """Send a chat and return the whole answer.

        Args:
            messages: The conversation in OpenAI's schema, or a bare prompt.
            model: ``provider/name`` or an alias; empty for the default model.
            timeout: Seconds for the whole call, retries included.
            tenant: Whose caches and limits apply.
            cache: False to use no cache, or a ``CachePolicy``.
            receipt: Record what each step decides, in ``response.receipt``.
            fields: Further fields of the request, such as ``temperature`` or ``tools``.

        Raises:
            LocalAgentError: The call failed; ``localagent.errors`` lists how.
        """
        request = ChatRequest(document_of(fields, "messages", as_messages(messages), model))
        request.check()
        return await self.send(request, timeout=timeout, principal=principal_of(tenant), cache=cache, receipt=receipt)  # type: ignore[return-value]

    async def complete(
        self,
        prompt: str,
        *,
        model: str = "",
        timeout: float | None = None,
        tenant: str = "",
        cache: bool | CachePolicy = True,
        receipt: bool = False,
        **fields: Any,
    ) -> CompletionResponse:
        """Continue a text and return the whole answer; arguments and errors as in ``chat``."""
        request = CompletionRequest(document_of(fields, "prompt", prompt, model))
        return await self.send(request, timeout=timeout, principal=principal_of(tenant), cache=cache, receipt=receipt)  # type: ignore[return-value]

    async def embed(
        self,
        inputs: str | list[str],
        *,
        model: str = "",
        timeout: float | None = None,
        tenant: str = "",
        cache: bool | CachePolicy = True,
        receipt: bool = False,
        **fields: Any,
    ) -> EmbedResponse:
        """Return the embeddings of a text, or of several; arguments and errors as in ``chat``."""
        request = EmbedRequest(document_of(fields, "input", inputs, model))
        return await self.send(request, timeout=timeout, principal=principal_of(tenant), cache=cache, receipt=receipt)  # type: ignore[return-value]

    def stream(
        self,
        messages: Messages,
        *,
        model: str = "",
        timeout: float | None = None,
        tenant: str = "",
        cache: bool | CachePolicy = True,
        receipt: bool = False,
        **fields: Any,
    ) -> AnswerStream:
        """Send a chat and read the answer while it is written; arguments as in ``chat``.

        Nothing is sent before the stream is entered or read.

        Raises:
            StartError: The client is not open.
        """
        request = ChatRequest(document_of(fields, "messages", as_messages(messages), model))
        request.check()
        return self.send_stream(request, timeout=timeout, principal=principal_of(tenant), cache=cache, receipt=receipt)

    async def send(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        principal: Principal = NOBODY,
        cache: bool | CachePolicy = True,
        receipt: bool = False,
    ) -> Response:
        """Send a request object and return the whole answer; errors as in ``chat``."""
        runtime = self._runtime
        if runtime is None or runtime.services.loop is not asyncio.get_running_loop():
            runtime = await self.runtime()
        engine = runtime.engine
        call = engine.call(request, timeout=timeout, principal=principal, cache=cache_policy(cache), receipt=receipt)
        return await engine.answer(call)

    def send_stream(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        principal: Principal = NOBODY,
        cache: bool | CachePolicy = True,
        receipt: bool = False,
    ) -> AnswerStream:
        """Send a request object and read the answer while it is written; see ``stream``."""
        runtime = self._runtime
        if runtime is None or runtime.services.loop is not asyncio.get_running_loop():
            raise StartError("The client is not open.", hint="Use: async with Client() as client")
        engine, cached = runtime.engine, cache_policy(cache)
        call = engine.call(request, stream=True, timeout=timeout, principal=principal, cache=cached, receipt=receipt)
        return engine.stream(call)

    async def models(self, timeout: float = 30.0) -> list[ModelInfo]:
        """Return the models of all instances that answer within ``timeout`` seconds.

        Raises:
            LocalAgentError: No instance answered; the first one's error.
        """
        models, errors = await (await self.runtime()).models.all(timeout)
        if errors and not models:
            raise next(iter(errors.values()))
        return models

    async def health(self, timeout: float = 10.0, max_age: float = 0.0) -> list[InstanceState]:
        """Check all instances at the same time, without asking a model, and return their states.

        Args:
            timeout: Seconds after which an instance counts as unhealthy.
            max_age: Seconds for which the last success or check still counts, so that the instance is not asked.
        """
        return await (await self.runtime()).fleet.health.check_all(timeout, max_age)

    async def stats(self) -> Stats:
        """Return what the core and the plugins report of themselves: counts, sizes, connections, memory."""
        return (await self.runtime()).collect_stats()

    async def count_tokens(
        self, messages: Messages, *,
        model: str = "", tenant: str = "", principal: Principal | None = None, **fields: Any,
    ) -> int | None:  # fmt: skip
        """Count the tokens of a chat for a model; None when no installed plugin counts for it.

        Args:
            messages: The conversation, or a bare prompt.
            model: ``provider/name`` or an alias; empty for the default model.
            tenant: Whose limits apply.
            principal: Who asks, instead of ``tenant``; it may count only for models that it may use.
            fields: Further fields of the request.

        Raises:
            ModelNotFound: There is no such model.
            NotAllowed: The principal may not use it.
        """
        runtime = await self.runtime()
        request = ChatRequest(document_of(fields, "messages", as_messages(messages), model))
        targets = runtime.fleet.names.targets(model, principal or principal_of(tenant))
        return await runtime.fleet.tokens.of(request, targets[0])

    async def runtime(self) -> Runtime:
        """Return the running core; open it if necessary. Programs do not need this."""
        runtime = self._runtime
        loop = asyncio.get_running_loop()
        if runtime is not None and runtime.services.loop is loop:
            return runtime
        if self._closed:
            raise StartError("The client is closed.", hint="Make a new one.")
        if runtime is not None and runtime.services.usable:
            raise StartError("The client is open on another event loop.", hint="Make one client an event loop.")
        if self._opening is None or not self._opening.is_here():
            self._opening = Opening()
            self._runtime = None
        return await self._opening.run(self._open)

    async def _open(self) -> Runtime:
        """Open the running core, unless it was opened meanwhile, or the client was closed."""
        if self._closed:
            raise StartError("The client is closed.", hint="Make a new one.")
        if self._runtime is not None:
            return self._runtime
        former = self._replaces._runtime if self._replaces is not None else None
        return await self._take(await opened(self._given, self._plugins, self._environment, self._seed, former))

    async def _take(self, runtime: Runtime) -> Runtime:
        """Use a running core from now on; close it if the client was closed and a plugin would not be interrupted."""
        if self._closed:
            await runtime.aclose()
            raise was_closed()
        self._runtime, self._replaces = runtime, None
        return runtime
