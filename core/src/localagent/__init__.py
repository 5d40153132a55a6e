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

# What each module gives to the public; the imports below say the same to type checkers, and a test holds them equal.
_GIVES = {
    "answer_stream": ("AnswerStream",),
    "attempt": ("Attempt", "Continue", "GiveUp", "Outcome", "Refused", "Retry", "Ticket"),
    "cache_keys": ("CacheKey",),
    "caching": ("CacheEntry",),
    "call": ("CachePolicy", "Call", "Principal"),
    "client": ("Client",),
    "commands": ("Command",),
    "core": ("Core",),
    "errors": (
        "BudgetExceeded",
        "CircuitOpen",
        "ClientGone",
        "ConnectFailed",
        "ContentFiltered",
        "ContextLengthExceeded",
        "Draining",
        "EmptyResponse",
        "InternalError",
        "InvalidRequest",
        "LocalAgentError",
        "LocalRateLimited",
        "LocalRefusal",
        "ModelNotFound",
        "Overloaded",
        "PermissionDenied",
        "PluginError",
        "PoolTimeout",
        "QuotaExhausted",
        "RateLimited",
        "RequestRejected",
        "ResponseTooLarge",
        "SettingsError",
        "StartError",
        "StreamInterrupted",
        "UpstreamAuth",
        "UpstreamError",
        "UpstreamProtocol",
        "UpstreamServerError",
        "UpstreamTimeout",
    ),
    "hooks": ("hookimpl",),
    "instances": ("Instance", "InstanceState", "PoolProfile", "Target"),
    "metric": ("Metric",),
    "openai_compatible": ("OpenAICompatible",),
    "plugins": ("Plugin",),
    "providers": ("Provider", "ProviderSetup", "ProviderType"),
    "receipt": ("Receipt",),
    "requests": ("ChatRequest", "CompletionRequest", "EmbedRequest", "Request"),
    "responses": ("ChatResponse", "CompletionResponse", "EmbedResponse", "ModelInfo", "Response", "Usage"),
    "scripts": ("ask",),
    "secret_refs": ("SecretRef",),
    "secrets": ("Secret",),
    "settings": ("Settings",),
    "settings_files": ("load_settings",),
    "streaming": ("Chunk", "Decoder", "StreamStep"),
    "timer": ("Clocks", "Watch"),
    "tokens": ("Tokenizer",),
    "transport": ("Caps", "HttpAnswer", "Transport"),
}
_HOME = {name: module for module, names in _GIVES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605
__version__ = "0.1.0"

if TYPE_CHECKING:
    from localagent.answer_stream import AnswerStream as AnswerStream
    from localagent.attempt import (
        Attempt as Attempt,
        Continue as Continue,
        GiveUp as GiveUp,
        Outcome as Outcome,
        Refused as Refused,
        Retry as Retry,
        Ticket as Ticket,
    )
    from localagent.cache_keys import CacheKey as CacheKey
    from localagent.caching import CacheEntry as CacheEntry
    from localagent.call import CachePolicy as CachePolicy, Call as Call, Principal as Principal
    from localagent.client import Client as Client
    from localagent.commands import Command as Command
    from localagent.core import Core as Core
    from localagent.errors import (
        BudgetExceeded as BudgetExceeded,
        CircuitOpen as CircuitOpen,
        ClientGone as ClientGone,
        ConnectFailed as ConnectFailed,
        ContentFiltered as ContentFiltered,
        ContextLengthExceeded as ContextLengthExceeded,
        Draining as Draining,
        EmptyResponse as EmptyResponse,
        InternalError as InternalError,
        InvalidRequest as InvalidRequest,
        LocalAgentError as LocalAgentError,
        LocalRateLimited as LocalRateLimited,
        LocalRefusal as LocalRefusal,
        ModelNotFound as ModelNotFound,
        Overloaded as Overloaded,
        PermissionDenied as PermissionDenied,
        PluginError as PluginError,
        PoolTimeout as PoolTimeout,
        QuotaExhausted as QuotaExhausted,
        RateLimited as RateLimited,
        RequestRejected as RequestRejected,
        ResponseTooLarge as ResponseTooLarge,
        SettingsError as SettingsError,
        StartError as StartError,
        StreamInterrupted as StreamInterrupted,
        UpstreamAuth as UpstreamAuth,
        UpstreamError as UpstreamError,
        UpstreamProtocol as UpstreamProtocol,
        UpstreamServerError as UpstreamServerError,
        UpstreamTimeout as UpstreamTimeout,
    )
    from localagent.hooks import hookimpl as hookimpl
    from localagent.instances import (
        Instance as Instance,
        InstanceState as InstanceState,
        PoolProfile as PoolProfile,
        Target as Target,
    )
    from localagent.metric import Metric as Metric
    from localagent.openai_compatible import OpenAICompatible as OpenAICompatible
    from localagent.plugins import Plugin as Plugin
    from localagent.providers import Provider as Provider, ProviderSetup as ProviderSetup, ProviderType as ProviderType
    from localagent.receipt import Receipt as Receipt
    from localagent.requests import (
        ChatRequest as ChatRequest,
        CompletionRequest as CompletionRequest,
        EmbedRequest as EmbedRequest,
        Request as Request,
    )
    from localagent.responses import (
        ChatResponse as ChatResponse,
        CompletionResponse as CompletionResponse,
        EmbedResponse as EmbedResponse,
        ModelInfo as ModelInfo,
        Response as Response,
        Usage as Usage,
    )
    from localagent.scripts import ask as ask
    from localagent.secret_refs import SecretRef as SecretRef
    from localagent.secrets import Secret as Secret
    from localagent.settings import Settings as Settings
    from localagent.settings_files import load_settings as load_settings
    from localagent.streaming import Chunk as Chunk, Decoder as Decoder, StreamStep as StreamStep
    from localagent.timer import Clocks as Clocks, Watch as Watch
    from localagent.tokens import Tokenizer as Tokenizer
    from localagent.transport import Caps as Caps, HttpAnswer as HttpAnswer, Transport as Transport


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'localagent' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"localagent.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
