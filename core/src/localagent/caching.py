"""Entries of caches, and which calls may be answered by one."""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from localagent.cache_keys import CacheKey
from localagent.requests import Request
from localagent.responses import ChatResponse, CompletionResponse, EmbedResponse

Policy = Literal["deterministic", "all"]
AnyResponse = ChatResponse | CompletionResponse | EmbedResponse
GOOD_ENDS = frozenset({"stop", "tool_calls", "function_call"})


class CacheEntry(msgspec.Struct, frozen=True):
    """An answer as a cache keeps it.

    Attributes:
        key: Under which it is kept: that of the target that answered.
        response: The whole answer.
        events: The data of its events, when it was streamed.
        stored: Wall-clock seconds at which the answer was made.
        source: Empty for a fresh answer; else the cache plugin that had it.
        seconds: What the call took that had a model answer: about what a hit saves.
    """

    key: CacheKey
    response: AnyResponse
    events: tuple[bytes, ...] | None = None
    stored: float = 0.0
    source: str = ""
    seconds: float = 0.0


def may_share(request: Request, policy: Policy) -> bool:
    """Say whether an answer to this request may serve an identical one.

    ``deterministic``: embeddings, and requests with ``temperature`` 0 or a ``seed``. ``all``: every request.
    """
    if policy == "all" or request.operation == "embed":
        return True
    document = request.document
    return document.get("temperature") == 0 or document.get("seed") is not None


def sample_of(request: Request, chosen: int | None, samples: int, source: random.Random) -> int:
    """Say which of the answers that are kept for a request is meant.

    Args:
        request: The request.
        chosen: The one that the call names (``CachePolicy.sample``), if it does.
        samples: How many are kept, as the settings say.
        source: Draws one, for a call that names none.

    Returns:
        The sample; 0 for a request whose answer is always the same.
    """
    if chosen is not None:
        return chosen
    if samples == 1 or may_share(request, "deterministic"):
        return 0
    return source.randrange(samples)


def may_store(response: AnyResponse) -> bool:
    """Say whether an answer may be kept: complete ones only, never cut by length or a filter."""
    if isinstance(response, EmbedResponse):
        return True
    return bool(response.finish_reasons) and all(reason in GOOD_ENDS for reason in response.finish_reasons)
