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

Names are imported on first use, so that ``import localagent`` stays fast.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The public names of each module. The imports below repeat them for type checkers; a test keeps both equal.
_GIVES = {
    "calls.answer_stream": "AnswerStream",
    "client": "Client",
    "errors": "LocalAgentError",
    "http_answers.openai_compatible": "OpenAICompatible",
    "plugin_api.core": "Core",
    "plugin_api.kinds": "hookimpl",
    "plugin_api.plugin": "NoSettings Plugin",
    "plugin_api.providers": "Provider ProviderSetup ProviderType",
    "plugin_api.tokenizer": "Tokenizer",
    "records.attempt": "Attempt Continue GiveUp Outcome Refused Retry Ticket",
    "records.caching": "CacheEntry CacheKey",
    "records.call": "CachePolicy Call Principal PublicFact",
    "records.histogram": "Histogram",
    "records.instances": "Instance InstanceState Target",
    "records.reports": "Metric Receipt",
    "records.requests": "ChatRequest CompletionRequest EmbedRequest Request",
    "records.responses": (
        "ChatResponse Chunk CompletionResponse Decoder EmbedResponse ModelInfo Response StreamStep Usage"
    ),
    "records.stats": "Instrument Sample Stats",
    "records.transport": "HttpAnswer Transport",
    "scripts": "ask",
    "settings.model": "Settings",
    "structuring.fields": "Amount Bytes Count Positive PositiveSeconds Seconds Share",
    "structuring.secrets": "Secret SecretRef",
}

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.calls.answer_stream import AnswerStream as AnswerStream
    from localagent.client import Client as Client
    from localagent.errors import LocalAgentError as LocalAgentError
    from localagent.http_answers.openai_compatible import OpenAICompatible as OpenAICompatible
    from localagent.plugin_api.core import Core as Core
    from localagent.plugin_api.kinds import hookimpl as hookimpl
    from localagent.plugin_api.plugin import NoSettings as NoSettings, Plugin as Plugin
    from localagent.plugin_api.providers import (
        Provider as Provider, ProviderSetup as ProviderSetup, ProviderType as ProviderType,
    )
    from localagent.plugin_api.tokenizer import Tokenizer as Tokenizer
    from localagent.records.attempt import (
        Attempt as Attempt, Continue as Continue, GiveUp as GiveUp, Outcome as Outcome, Refused as Refused,
        Retry as Retry, Ticket as Ticket,
    )
    from localagent.records.caching import CacheEntry as CacheEntry, CacheKey as CacheKey
    from localagent.records.call import (
        CachePolicy as CachePolicy, Call as Call, Principal as Principal, PublicFact as PublicFact,
    )
    from localagent.records.histogram import Histogram as Histogram
    from localagent.records.instances import Instance as Instance, InstanceState as InstanceState, Target as Target
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
    from localagent.records.stats import Instrument as Instrument, Sample as Sample, Stats as Stats
    from localagent.records.transport import HttpAnswer as HttpAnswer, Transport as Transport
    from localagent.scripts import ask as ask
    from localagent.settings.model import Settings as Settings
    from localagent.structuring.fields import (
        Amount as Amount, Bytes as Bytes, Count as Count, Positive as Positive, PositiveSeconds as PositiveSeconds,
        Seconds as Seconds, Share as Share,
    )
    from localagent.structuring.secrets import Secret as Secret, SecretRef as SecretRef
# isort: on
# fmt: on


def lazily(package: str, gives: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Return the ``__getattr__`` and the ``__all__`` of a package whose names are imported on first use.

    Args:
        package: The name of the package.
        gives: The public names of each of its modules, separated by spaces.
    """
    homes = {name: module for module, names in gives.items() for name in names.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, sorted(homes)


__getattr__, __all__ = lazily(__name__, _GIVES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
