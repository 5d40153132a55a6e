"""What a provider plugin brings: provider types, and the providers made of them."""

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
    """All that a provider is made of.

    Attributes:
        name: Its name in the settings.
        type: Its type's name.
        settings: The type's settings class, filled.
        common: What every provider has in the settings: instances, keys, headers, timeouts, size limits, pool.
        environment: The environment, for secrets that the settings name.
        core: The core's handle.
        shared: Where to reach what ``ProviderType.share`` runs for all processes; empty when nothing is run elsewhere.
        error_rules: The type's own rules that say which error an answer is.
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
        """Make the instances of the settings: every address with every key that is there.

        Args:
            default_url: The address where the settings name none.
            extra_headers: Headers of the type's own settings.
            scheme: The word before the key in ``Authorization``.

        Returns:
            The instances, and the headers of each, its key among them.

        Raises:
            SecretMissing: None of the keys that the settings name is there, or a header is not.
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
        """Return the keys that are there by their number; what is not there the core has told."""
        from localagent.structuring.secrets import read_all

        found, missing = read_all(self.common.keys, self.environment)
        if missing and not found:
            raise missing[0]
        return {**found} or {1: None}

    def fingerprint(self, headers: Mapping[str, str], *more: object) -> str:
        """Return a hash of everything else that decides an instance's answers, for ``Instance``.

        What is remembered of an instance is of no use for one with another fingerprint. No key can be derived from it.

        Args:
            headers: The headers of its requests, its key among them.
            more: Further values that count, in addition to the settings of the type; compared by ``repr``.
        """
        from hashlib import sha256

        return sha256(repr((self.settings, sorted(headers.items()), more)).encode(errors="replace")).hexdigest()

    async def refusal(self, answer: HttpAnswer, target: str) -> LocalAgentError:
        """Return the typed error of an answer whose status is an error; the answer is read and closed.

        Args:
            answer: The answer.
            target: Where it came from, as text.
        """
        from localagent.http_answers.translation import error_from_answer

        try:
            body = await answer.read(self.common.size_limits.error)
        finally:
            await answer.aclose()
        return error_from_answer(answer.status, answer.headers, body, provider=self.name, target=target,
                                 wall_time=self.core.wall_time(), rules=self.error_rules)  # fmt: skip


class Provider(Protocol):
    """A configured use of a provider type. It keeps no count, does not retry, and raises typed errors only.

    Attributes:
        instances: Its instances at the start; more may come through ``core.instances.add``.
        default_model: The model that answers when a request names none; None if there is no such model.
    """

    instances: Sequence[Instance]
    default_model: str | None

    async def open(self) -> None:
        """Get ready; called once, before the first attempt or list, while other providers do the same."""

    async def chat(self, attempt: Attempt, transport: Transport) -> ChatResponse:
        """Send ``attempt.request`` and return the complete answer."""

    async def complete(self, attempt: Attempt, transport: Transport) -> CompletionResponse:
        """Send a completion and return the complete answer."""

    async def embed(self, attempt: Attempt, transport: Transport) -> EmbedResponse:
        """Send inputs and return their embeddings."""

    async def stream(self, attempt: Attempt, transport: Transport) -> tuple[HttpAnswer, Decoder]:
        """Send a chat or completion to be streamed; return when the head has come. The core reads."""

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """Ask an instance for its models."""

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Ask an instance whether it is well, at no cost; return when it is.

        Raises:
            LocalAgentError: It is not.
        """

    async def aclose(self) -> None:
        """Close what ``open`` opened; idempotent."""


@attrs.frozen
class ProviderType:
    """One wire protocol.

    Attributes:
        name: How settings name it.
        settings: attrs class of the settings of a provider of this type, beyond the common ones.
        make: Makes a provider.
        default: Given the environment, returns settings (as a mapping) for a provider that is there without being
            configured, or None: a key in the environment, or a model that is built in.
        share: Given a provider's filled ``settings`` and the path of a Unix socket, runs once, as an async context
            manager, what the providers of several processes would otherwise run once each. None: there is nothing.
        pool: Given the addresses of a provider as its settings have them (none: where its servers usually are), returns
            how connections to them are kept. What the settings choose for the provider wins, field by field.
        error_rules: Which errors this protocol's servers mean by their own codes and sentences; asked before the core's
            rules, for all answers: whole ones, errors inside a 200 or a stream, model lists and checks.
    """

    name: str
    settings: type
    make: Callable[[ProviderSetup], Provider]
    default: Callable[[Mapping[str, str]], Mapping[str, Any] | None] = lambda environment: None
    share: Callable[[Any, Path], AbstractAsyncContextManager[object]] | None = None
    pool: Callable[[Sequence[str]], PoolProfile] = lambda addresses: NOT_CHOSEN
    error_rules: Sequence[ErrorRule] = ()
