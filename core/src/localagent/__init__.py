"""LocalAgent sends requests to language models, local ones first, through a pipeline of small plugins.

::

    import asyncio
    import localagent

    print(localagent.ask("Name three primary colours."))

    async def main():
        async with localagent.Client() as client:
            response = await client.chat("Why is the sky blue?")
            print(response.text)

    asyncio.run(main())

Names are imported when they are first used, so that ``import localagent`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "AnswerStream": "answer_stream", "Attempt": "attempt", "BudgetExceeded": "errors", "CacheEntry": "caching",
    "CacheKey": "cache_keys", "CachePolicy": "call", "Call": "call", "Caps": "transport", "ChatRequest": "requests",
    "ChatResponse": "responses", "Chunk": "streaming", "CircuitOpen": "errors", "Client": "client",
    "ClientGone": "errors", "Clocks": "timer", "Command": "commands", "CompletionRequest": "requests",
    "CompletionResponse": "responses", "ConnectFailed": "errors", "ContentFiltered": "errors",
    "ContextLengthExceeded": "errors", "Continue": "attempt", "Core": "core", "Decoder": "streaming",
    "Draining": "errors", "EmbedRequest": "requests", "EmbedResponse": "responses", "EmptyResponse": "errors",
    "GiveUp": "attempt", "HttpAnswer": "transport", "Instance": "instances", "InstanceState": "instances",
    "InternalError": "errors", "InvalidRequest": "errors", "LocalAgentError": "errors",
    "LocalRateLimited": "errors", "LocalRefusal": "errors", "Metric": "metric", "ModelInfo": "responses",
    "ModelNotFound": "errors", "OpenAICompatible": "openai_compatible", "Outcome": "attempt",
    "Overloaded": "errors", "PermissionDenied": "errors", "Plugin": "plugins", "PluginError": "errors",
    "PoolProfile": "instances", "PoolTimeout": "errors", "Principal": "call", "Provider": "providers",
    "ProviderSetup": "providers", "ProviderType": "providers", "QuotaExhausted": "errors", "RateLimited": "errors",
    "Receipt": "receipt", "Refused": "attempt", "Request": "requests", "RequestRejected": "errors",
    "Response": "responses", "ResponseTooLarge": "errors", "Retry": "attempt", "Secret": "secrets",
    "SecretRef": "secret_refs", "Settings": "settings", "SettingsError": "errors", "StartError": "errors",
    "StreamInterrupted": "errors", "StreamStep": "streaming", "Target": "instances", "Ticket": "attempt",
    "Tokenizer": "tokens", "Transport": "transport", "UpstreamAuth": "errors", "UpstreamError": "errors",
    "UpstreamProtocol": "errors", "UpstreamServerError": "errors", "UpstreamTimeout": "errors", "Usage": "responses",
    "Watch": "timer", "ask": "scripts", "hookimpl": "hooks", "load_settings": "settings_files",
}  # fmt: skip

__all__ = sorted(_HOME)  # noqa: PLE0605
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'localagent' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"localagent.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if TYPE_CHECKING:
    from localagent.client import Client as Client
