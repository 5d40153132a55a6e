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
    "cache_contents": ("CacheContents", "CacheCounts", "CacheFigures", "KeptAnswer", "Which"),
    "cache_keys": ("CacheKey",),
    "cache_records": ("pack_entry", "unpack_entry"),
    "caching": ("CacheEntry",),
    "call": ("CachePolicy", "Call", "Principal"),
    "client": ("Client",),
    "conditions": ("Condition", "Diagnosed", "InstanceCondition", "LiveProcesses", "Trouble"),
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
        "NotAllowed",
        "NotCached",
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
        "Unauthenticated",
        "UpstreamAuth",
        "UpstreamError",
        "UpstreamProtocol",
        "UpstreamServerError",
        "UpstreamTimeout",
    ),
    "front": ("FrontAnswer", "FrontRequest", "FrontStream", "Parts", "Route"),
    "hooks": ("Kind", "OnRaise", "hook", "hookimpl"),
    "instances": ("Instance", "InstanceState", "PoolProfile", "Target"),
    "metric": ("Metric",),
    "http_answers.error_rules": ("ErrorRule",),
    "http_answers.openai_compatible": ("OpenAICompatible",),
    "installing": ("install",),
    "settings.addresses": ("read_address",),
    "settings.variables": ("wrong_variable",),
    "private_files": ("create_private_file",),
    "permits": ("Permits",),
    "plugin": ("NoSettings", "Plugin"),
    "providers": ("Provider", "ProviderSetup", "ProviderType"),
    "settings.quantities": ("Amount", "Bytes", "Count", "Positive", "PositiveSeconds", "Seconds", "Share"),
    "receipt": ("Receipt",),
    "model_names": ("check_model_name",),
    "requests": ("ChatRequest", "CompletionRequest", "EmbedRequest", "Request"),
    "responses": ("ChatResponse", "CompletionResponse", "EmbedResponse", "ModelInfo", "Response", "Usage"),
    "scripts": ("ask",),
    "settings.secret_refs": ("SecretRef",),
    "secrets": ("Secret",),
    "settings.model": ("Settings",),
    "settings.files": ("load_settings",),
    "streaming": ("Chunk", "Decoder", "StreamStep"),
    "threads": ("in_thread", "resolve_name"),
    "timer": ("Clocks", "Watch"),
    "tokens": ("Tokenizer",),
    "transport": ("Caps", "ConnectSettings", "HttpAnswer", "PoolStats", "Pooled", "Transport", "read_up_to"),
    "turns": ("let_others_run",),
    "http_answers.idle_connections": ("ends_after_stream", "is_stale", "kept_for"),
    "http_answers.inflating": ("Inflater", "inflater_for"),
    "http_answers.tls": ("tls_context",),
}
_HOME = {name: module for module, names in _GIVES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605
__version__ = "0.1.0"

if TYPE_CHECKING:
    from localagent.answer_stream import AnswerStream as AnswerStream
    from localagent.attempt import (
        Attempt as Attempt,
    )
    from localagent.attempt import (
        Continue as Continue,
    )
    from localagent.attempt import (
        GiveUp as GiveUp,
    )
    from localagent.attempt import (
        Outcome as Outcome,
    )
    from localagent.attempt import (
        Refused as Refused,
    )
    from localagent.attempt import (
        Retry as Retry,
    )
    from localagent.attempt import (
        Ticket as Ticket,
    )
    from localagent.cache_contents import (
        CacheContents as CacheContents,
    )
    from localagent.cache_contents import (
        CacheCounts as CacheCounts,
    )
    from localagent.cache_contents import (
        CacheFigures as CacheFigures,
    )
    from localagent.cache_contents import (
        KeptAnswer as KeptAnswer,
    )
    from localagent.cache_contents import (
        Which as Which,
    )
    from localagent.cache_keys import CacheKey as CacheKey
    from localagent.cache_records import pack_entry as pack_entry
    from localagent.cache_records import unpack_entry as unpack_entry
    from localagent.caching import CacheEntry as CacheEntry
    from localagent.call import CachePolicy as CachePolicy
    from localagent.call import Call as Call
    from localagent.call import Principal as Principal
    from localagent.client import Client as Client
    from localagent.conditions import Condition as Condition
    from localagent.conditions import Diagnosed as Diagnosed
    from localagent.conditions import InstanceCondition as InstanceCondition
    from localagent.conditions import LiveProcesses as LiveProcesses
    from localagent.conditions import Trouble as Trouble
    from localagent.core import Core as Core
    from localagent.errors import (
        BudgetExceeded as BudgetExceeded,
    )
    from localagent.errors import (
        CircuitOpen as CircuitOpen,
    )
    from localagent.errors import (
        ClientGone as ClientGone,
    )
    from localagent.errors import (
        ConnectFailed as ConnectFailed,
    )
    from localagent.errors import (
        ContentFiltered as ContentFiltered,
    )
    from localagent.errors import (
        ContextLengthExceeded as ContextLengthExceeded,
    )
    from localagent.errors import (
        Draining as Draining,
    )
    from localagent.errors import (
        EmptyResponse as EmptyResponse,
    )
    from localagent.errors import (
        InternalError as InternalError,
    )
    from localagent.errors import (
        InvalidRequest as InvalidRequest,
    )
    from localagent.errors import (
        LocalAgentError as LocalAgentError,
    )
    from localagent.errors import (
        LocalRateLimited as LocalRateLimited,
    )
    from localagent.errors import (
        LocalRefusal as LocalRefusal,
    )
    from localagent.errors import (
        ModelNotFound as ModelNotFound,
    )
    from localagent.errors import (
        NotAllowed as NotAllowed,
    )
    from localagent.errors import (
        NotCached as NotCached,
    )
    from localagent.errors import (
        Overloaded as Overloaded,
    )
    from localagent.errors import (
        PermissionDenied as PermissionDenied,
    )
    from localagent.errors import (
        PluginError as PluginError,
    )
    from localagent.errors import (
        PoolTimeout as PoolTimeout,
    )
    from localagent.errors import (
        QuotaExhausted as QuotaExhausted,
    )
    from localagent.errors import (
        RateLimited as RateLimited,
    )
    from localagent.errors import (
        RequestRejected as RequestRejected,
    )
    from localagent.errors import (
        ResponseTooLarge as ResponseTooLarge,
    )
    from localagent.errors import (
        SettingsError as SettingsError,
    )
    from localagent.errors import (
        StartError as StartError,
    )
    from localagent.errors import (
        StreamInterrupted as StreamInterrupted,
    )
    from localagent.errors import (
        Unauthenticated as Unauthenticated,
    )
    from localagent.errors import (
        UpstreamAuth as UpstreamAuth,
    )
    from localagent.errors import (
        UpstreamError as UpstreamError,
    )
    from localagent.errors import (
        UpstreamProtocol as UpstreamProtocol,
    )
    from localagent.errors import (
        UpstreamServerError as UpstreamServerError,
    )
    from localagent.errors import (
        UpstreamTimeout as UpstreamTimeout,
    )
    from localagent.front import FrontAnswer as FrontAnswer
    from localagent.front import FrontRequest as FrontRequest
    from localagent.front import FrontStream as FrontStream
    from localagent.front import Parts as Parts
    from localagent.front import Route as Route
    from localagent.hooks import Kind as Kind
    from localagent.hooks import OnRaise as OnRaise
    from localagent.hooks import hook as hook
    from localagent.hooks import hookimpl as hookimpl
    from localagent.http_answers.error_rules import ErrorRule as ErrorRule
    from localagent.http_answers.idle_connections import ends_after_stream as ends_after_stream
    from localagent.http_answers.idle_connections import is_stale as is_stale
    from localagent.http_answers.idle_connections import kept_for as kept_for
    from localagent.http_answers.inflating import Inflater as Inflater
    from localagent.http_answers.inflating import inflater_for as inflater_for
    from localagent.http_answers.openai_compatible import OpenAICompatible as OpenAICompatible
    from localagent.http_answers.tls import tls_context as tls_context
    from localagent.installing import install as install
    from localagent.instances import (
        Instance as Instance,
    )
    from localagent.instances import (
        InstanceState as InstanceState,
    )
    from localagent.instances import (
        PoolProfile as PoolProfile,
    )
    from localagent.instances import (
        Target as Target,
    )
    from localagent.metric import Metric as Metric
    from localagent.model_names import check_model_name as check_model_name
    from localagent.permits import Permits as Permits
    from localagent.plugin import NoSettings as NoSettings
    from localagent.plugin import Plugin as Plugin
    from localagent.private_files import create_private_file as create_private_file
    from localagent.providers import Provider as Provider
    from localagent.providers import ProviderSetup as ProviderSetup
    from localagent.providers import ProviderType as ProviderType
    from localagent.receipt import Receipt as Receipt
    from localagent.requests import (
        ChatRequest as ChatRequest,
    )
    from localagent.requests import (
        CompletionRequest as CompletionRequest,
    )
    from localagent.requests import (
        EmbedRequest as EmbedRequest,
    )
    from localagent.requests import (
        Request as Request,
    )
    from localagent.responses import (
        ChatResponse as ChatResponse,
    )
    from localagent.responses import (
        CompletionResponse as CompletionResponse,
    )
    from localagent.responses import (
        EmbedResponse as EmbedResponse,
    )
    from localagent.responses import (
        ModelInfo as ModelInfo,
    )
    from localagent.responses import (
        Response as Response,
    )
    from localagent.responses import (
        Usage as Usage,
    )
    from localagent.scripts import ask as ask
    from localagent.secrets import Secret as Secret
    from localagent.settings.addresses import read_address as read_address
    from localagent.settings.files import load_settings as load_settings
    from localagent.settings.model import Settings as Settings
    from localagent.settings.quantities import Amount as Amount
    from localagent.settings.quantities import Bytes as Bytes
    from localagent.settings.quantities import Count as Count
    from localagent.settings.quantities import Positive as Positive
    from localagent.settings.quantities import PositiveSeconds as PositiveSeconds
    from localagent.settings.quantities import Seconds as Seconds
    from localagent.settings.quantities import Share as Share
    from localagent.settings.secret_refs import SecretRef as SecretRef
    from localagent.settings.variables import wrong_variable as wrong_variable
    from localagent.streaming import Chunk as Chunk
    from localagent.streaming import Decoder as Decoder
    from localagent.streaming import StreamStep as StreamStep
    from localagent.threads import in_thread as in_thread
    from localagent.threads import resolve_name as resolve_name
    from localagent.timer import Clocks as Clocks
    from localagent.timer import Watch as Watch
    from localagent.tokens import Tokenizer as Tokenizer
    from localagent.transport import Caps as Caps
    from localagent.transport import ConnectSettings as ConnectSettings
    from localagent.transport import HttpAnswer as HttpAnswer
    from localagent.transport import Pooled as Pooled
    from localagent.transport import PoolStats as PoolStats
    from localagent.transport import Transport as Transport
    from localagent.transport import read_up_to as read_up_to
    from localagent.turns import let_others_run as let_others_run


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'localagent' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"localagent.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
