"""The interfaces of provider plugins: provider types, and the providers that they create."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import attrs

from localagent.records.instances import NOT_CHOSEN, Instance, PoolProfile
from localagent.records.responses import ChatResponse, CompletionResponse, Decoder, EmbedResponse, ModelInfo

if TYPE_CHECKING:
    from localagent.errors import LocalAgentError
    from localagent.http_answers.error_rules import ErrorRule
    from localagent.plugin_api.core import Core
    from localagent.records.attempt import Attempt
    from localagent.records.transport import HttpAnswer, Transport
    from localagent.settings.provider import ProviderSettings
    from localagent.structuring.secrets import Secret
    from localagent.timing.phases import PhaseTimer


@attrs.frozen
class ProviderSetup:
    """The argument of ``ProviderType.make``: the data from which a provider is created.

    Attributes:
        name: The provider's name in the settings.
        type: The name of its type.
        settings: The filled settings class of the type.
        common: The settings that all providers have: instances, keys, headers, timeouts, size limits, pool.
        environment: The environment variables, for secrets that the settings name.
        core: The services of the core.
        shared: The address of the server that ``ProviderType.share`` runs for all processes; empty if there is none.
        error_rules: The type's own rules that map answers to errors.

    Since: 0.1.
    """

    name: str
    type: str
    settings: Any
    common: ProviderSettings
    environment: Mapping[str, str]
    core: Core
    shared: str = ""
    error_rules: Sequence[ErrorRule] = ()

    def instances(
        self, default_url: str, *, extra_headers: Mapping[str, str] | None = None, scheme: str = "Bearer"
    ) -> tuple[list[Instance], dict[Instance, dict[str, str]]]:
        """Create the instances of the provider: one for each combination of address and available key.

        Args:
            default_url: The address if the settings name none.
            extra_headers: Headers from the settings of the type.
            scheme: The scheme before the key in the ``Authorization`` header.

        Returns:
            The instances, and the headers of each, including its key.

        Raises:
            SecretMissing: All keys that the settings name are missing, or a header is.
        """
        common = self.common
        shared = {
            name: value if isinstance(value, str) else value.read(self.environment).reveal()
            for name, value in common.headers.items()
        }
        places = [(place.url, place.weight, place.name) for place in common.instances] or [(default_url, 1.0, None)]
        keys = self._keys()
        made: dict[Instance, dict[str, str]] = {}
        for url, weight, name in places:
            for number, key in keys.items():
                base = name or f"{self.name}@{urlsplit(url).netloc}"
                ident = f"{base}#{number}" if len(common.keys) > 1 else base
                secret = {"Authorization": f"{scheme} {key.reveal()}"} if key is not None else {}
                headers = {**(extra_headers or {}), **shared, **secret}
                fingerprint = self.fingerprint(headers)
                instance = Instance(ident, self.name, self.type, url.rstrip("/"), weight, common.pool, fingerprint)
                made[instance] = headers
        return list(made), made

    def _keys(self) -> Mapping[int, Secret | None]:
        """Return the available keys by their number; the core has already reported the missing ones."""
        from localagent.structuring.secrets import read_all

        found, missing = read_all(self.common.keys, self.environment)
        if missing and not found:
            raise missing[0]
        return {**found} or {1: None}

    def fingerprint(self, headers: Mapping[str, str], *more: object) -> str:
        """Return the fingerprint of an ``Instance``: a hash of all data besides type and address that affects answers.

        Cached data about an instance is not used for one with another fingerprint. No key can be recovered from it.

        Args:
            headers: The headers of its requests, including its key.
            more: Further data, besides the settings of the type; compared by ``repr``.
        """
        from hashlib import sha256

        return sha256(repr((self.settings, sorted(headers.items()), more)).encode(errors="replace")).hexdigest()

    async def refusal(self, answer: HttpAnswer, target: str) -> LocalAgentError:
        """Return the typed error for an answer with an error status; reads and closes the answer.

        Args:
            answer: The answer.
            target: The target that sent it, as text.
        """
        from localagent.http_answers.translation import error_from_answer

        try:
            body = await answer.read(self.common.size_limits.error)
        finally:
            await answer.aclose()
        return error_from_answer(answer.status, answer.headers, body, provider=self.name, target=target,
                                 wall_time=self.core.wall_time(), rules=self.error_rules)  # fmt: skip


class Provider(Protocol):
    """A configured provider. It does not count or retry, and raises only ``LocalAgentError``.

    ``localagent.OpenAICompatible`` implements it for servers with an OpenAI-compatible API.

    Attributes:
        instances: Its initial instances; more can be added with ``core.instances.add``.
        default_model: The model for requests that name none; None if it has no default.

    Since: 0.1.
    """

    instances: Sequence[Instance]
    default_model: str | None

    async def open(self) -> None:
        """Prepare the provider; called once, before its first attempt or model list. Providers may open in parallel."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        """Send ``attempt.request``, a chat, and return the complete answer."""

    async def complete(self, attempt: Attempt, transport: Transport) -> CompletionResponse:
        """Send ``attempt.request``, a completion, and return the complete answer."""

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        """Send ``attempt.request``, inputs to embed, and return their embeddings."""

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        """Send a chat or completion to be streamed; return once the headers have arrived. The core reads the body."""

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """Query an instance for its models and return them."""

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Check the health of an instance at no cost; return if it is healthy.

        Raises:
            LocalAgentError: It is not healthy.
        """

    async def aclose(self) -> None:
        """Release what ``open`` acquired; idempotent."""


@attrs.frozen
class ProviderType:
    """A provider type: it implements one wire protocol. The hook ``provide`` returns provider types.

    Attributes:
        name: The name that settings use, as ``type``.
        settings: attrs class of the settings of this type, in addition to the common ones.
        make: Creates a provider.
        default: Takes the environment; returns settings (as a mapping) for a provider that exists without being
            configured, for example because of a key in the environment or a built-in model; otherwise None.
        share: Takes a provider's filled ``settings`` and the path of a Unix socket; returns an async context manager
            that runs a server once for the providers of several processes. None if there is nothing to share.
        pool: Takes the addresses of a provider from its settings (empty means the usual address); returns how
            connections to them are kept. Values in the provider's own settings take precedence, field by field.
        error_rules: Rules that map the protocol's own error codes and messages to errors. They are applied before the
            core's rules to all answers: whole ones, errors inside a 200 or a stream, model lists and checks.

    Example:
        ::

            class MyProvider(localagent.Plugin):
                name = "provider-mine"

                @localagent.hookimpl
                def provide(self):
                    return [localagent.ProviderType("mine", MySettings, make_provider)]

    Since: 0.1.
    """

    name: str
    settings: type
    make: Callable[[ProviderSetup], Provider]
    default: Callable[[Mapping[str, str]], Mapping[str, Any] | None] = lambda environment: None
    share: Callable[[Any, Path], AbstractAsyncContextManager[object]] | None = None
    pool: Callable[[Sequence[str]], PoolProfile] = lambda addresses: NOT_CHOSEN
    error_rules: Sequence[ErrorRule] = ()
