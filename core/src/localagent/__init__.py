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
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What each module gives to the public. The imports below say the same to type checkers; a test holds them equal.
_GIVES = {
    "calls.answer_stream": "AnswerStream",
    "records.attempt": "Attempt Continue GiveUp Outcome Refused Retry Ticket",
    "records.cache_contents": "CacheContents CacheCounts CacheFigures KeptAnswer Which",
    "records.caching": "CacheEntry CacheKey pack_entry unpack_entry",
    "records.call": "CachePolicy Call Principal PublicFact",
    "client": "Client",
    "plugin_api.core": "Core",
    "errors": (
        "BudgetExceeded CircuitOpen ClientGone ConnectFailed ContentFiltered ContextLengthExceeded Draining "
        "EmptyResponse InternalError InvalidRequest LocalAgentError LocalRateLimited LocalRefusal ModelNotFound "
        "NotAllowed NotCached Overloaded PermissionDenied PluginError PoolTimeout QuotaExhausted RateLimited "
        "RequestRejected ResponseTooLarge SettingsError StartError StreamInterrupted Unauthenticated UpstreamAuth "
        "UpstreamError UpstreamProtocol UpstreamServerError UpstreamTimeout"
    ),
    "settings.folders": "create_private_file",
    "plugin_api.front": "FrontAnswer FrontRequest FrontStream Parts Route",
    "plugin_api.kinds": "Kind OnRaise hook hookimpl",
    "http_answers.error_rules": "ErrorRule",
    "http_answers.openai_compatible": "OpenAICompatible",
    "plugin_api.installing": "install",
    "records.instances": "Instance InstanceState PoolProfile Target check_model_name",
    "plugin_api.plugin": "NoSettings Plugin",
    "plugin_api.providers": "Provider ProviderSetup ProviderType",
    "records.reports": "Metric Receipt",
    "records.requests": "ChatRequest CompletionRequest EmbedRequest Request",
    "records.responses": (
        "ChatResponse Chunk CompletionResponse Decoder EmbedResponse ModelInfo Response StreamStep Usage"
    ),
    "scripts": "ask",
    "structuring.fields": "Amount Bytes Count Positive PositiveSeconds Seconds Share",
    "settings.files": "load_settings",
    "settings.model": "Settings",
    "structuring.place": "wrong_variable",
    "settings.provider": "read_address",
    "structuring.secrets": "Secret SecretRef",
    "timing.phases": "PhaseTimer",
    "timing.timeouts": "Timeouts",
    "plugin_api.tokenizer": "Tokenizer",
    "records.transport": "Caps ConnectSettings HttpAnswer PoolStats Pooled Transport read_up_to",
    "timing.work": "in_thread let_others_run resolve_name",
}

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.calls.answer_stream import AnswerStream as AnswerStream
    from localagent.records.attempt import (
        Attempt as Attempt, Continue as Continue, GiveUp as GiveUp, Outcome as Outcome, Refused as Refused,
        Retry as Retry, Ticket as Ticket,
    )
    from localagent.records.cache_contents import (
        CacheContents as CacheContents, CacheCounts as CacheCounts, CacheFigures as CacheFigures,
        KeptAnswer as KeptAnswer, Which as Which,
    )
    from localagent.records.caching import (
        CacheEntry as CacheEntry, CacheKey as CacheKey, pack_entry as pack_entry, unpack_entry as unpack_entry,
    )
    from localagent.records.call import (
        CachePolicy as CachePolicy,
        Call as Call,
        Principal as Principal,
        PublicFact as PublicFact,
    )
    from localagent.client import Client as Client
    from localagent.plugin_api.core import Core as Core
    from localagent.errors import (
        BudgetExceeded as BudgetExceeded, CircuitOpen as CircuitOpen, ClientGone as ClientGone,
        ConnectFailed as ConnectFailed, ContentFiltered as ContentFiltered,
        ContextLengthExceeded as ContextLengthExceeded, Draining as Draining, EmptyResponse as EmptyResponse,
        InternalError as InternalError, InvalidRequest as InvalidRequest, LocalAgentError as LocalAgentError,
        LocalRateLimited as LocalRateLimited, LocalRefusal as LocalRefusal, ModelNotFound as ModelNotFound,
        NotAllowed as NotAllowed, NotCached as NotCached, Overloaded as Overloaded,
        PermissionDenied as PermissionDenied, PluginError as PluginError, PoolTimeout as PoolTimeout,
        QuotaExhausted as QuotaExhausted, RateLimited as RateLimited, RequestRejected as RequestRejected,
        ResponseTooLarge as ResponseTooLarge, SettingsError as SettingsError, StartError as StartError,
        StreamInterrupted as StreamInterrupted, Unauthenticated as Unauthenticated, UpstreamAuth as UpstreamAuth,
        UpstreamError as UpstreamError, UpstreamProtocol as UpstreamProtocol,
        UpstreamServerError as UpstreamServerError, UpstreamTimeout as UpstreamTimeout,
    )
    from localagent.settings.folders import create_private_file as create_private_file
    from localagent.plugin_api.front import (
        FrontAnswer as FrontAnswer, FrontRequest as FrontRequest, FrontStream as FrontStream, Parts as Parts,
        Route as Route,
    )
    from localagent.plugin_api.kinds import Kind as Kind, OnRaise as OnRaise, hook as hook, hookimpl as hookimpl
    from localagent.http_answers.error_rules import ErrorRule as ErrorRule
    from localagent.http_answers.openai_compatible import OpenAICompatible as OpenAICompatible
    from localagent.plugin_api.installing import install as install
    from localagent.records.instances import (
        Instance as Instance, InstanceState as InstanceState, PoolProfile as PoolProfile, Target as Target,
        check_model_name as check_model_name,
    )
    from localagent.plugin_api.plugin import NoSettings as NoSettings, Plugin as Plugin
    from localagent.plugin_api.providers import Provider as Provider, ProviderSetup as ProviderSetup
    from localagent.plugin_api.providers import ProviderType as ProviderType
    from localagent.records.reports import Metric as Metric, Receipt as Receipt
    from localagent.records.requests import (
        ChatRequest as ChatRequest, CompletionRequest as CompletionRequest, EmbedRequest as EmbedRequest,
        Request as Request,
    )
    from localagent.records.responses import (
        ChatResponse as ChatResponse, Chunk as Chunk, CompletionResponse as CompletionResponse, Decoder as Decoder,
        EmbedResponse as EmbedResponse, ModelInfo as ModelInfo, Response as Response, StreamStep as StreamStep,
        Usage as Usage,
    )
    from localagent.scripts import ask as ask
    from localagent.structuring.fields import (
        Amount as Amount, Bytes as Bytes, Count as Count, Positive as Positive, PositiveSeconds as PositiveSeconds,
        Seconds as Seconds, Share as Share,
    )
    from localagent.settings.files import load_settings as load_settings
    from localagent.settings.model import Settings as Settings
    from localagent.structuring.place import wrong_variable as wrong_variable
    from localagent.settings.provider import read_address as read_address
    from localagent.structuring.secrets import Secret as Secret, SecretRef as SecretRef
    from localagent.timing.phases import PhaseTimer as PhaseTimer
    from localagent.timing.timeouts import Timeouts as Timeouts
    from localagent.plugin_api.tokenizer import Tokenizer as Tokenizer
    from localagent.records.transport import (
        Caps as Caps, ConnectSettings as ConnectSettings, HttpAnswer as HttpAnswer, PoolStats as PoolStats,
        Pooled as Pooled, Transport as Transport, read_up_to as read_up_to,
    )
    from localagent.timing.work import (
        in_thread as in_thread, let_others_run as let_others_run, resolve_name as resolve_name,
    )
# isort: on
# fmt: on


def lazily(
    package: str, gives: Mapping[str, str], source: str | None = None
) -> tuple[Callable[[str], Any], list[str]]:
    """Return the ``__getattr__`` and the ``__all__`` of a package whose names are imported when they are first used.

    Args:
        package: Its name.
        gives: The names that each module gives to the public, with blanks between them.
        source: The package of these modules; None means the package itself.
    """
    homes = {name: module for module, names in gives.items() for name in names.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{source or package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, sorted(homes)


__getattr__, __all__ = lazily(__name__, _GIVES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
