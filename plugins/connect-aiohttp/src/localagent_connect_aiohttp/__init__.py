"""The default transport: HTTP over aiohttp, with a pool of connections for every instance.

aiohttp is imported with the first transport, so a program that sends nothing does not load it. The parts that other
transports share do not need aiohttp: connection slots, decompression, TLS contexts, and rules for response heads and
for kept connections.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from localagent_connect_aiohttp.decompression import Inflater, inflater_for
from localagent_connect_aiohttp.framing import check_head, check_reason, check_size
from localagent_connect_aiohttp.idle_connections import ends_after_stream, is_stale, kept_for
from localagent_connect_aiohttp.permits import Permits
from localagent_connect_aiohttp.plugin import AiohttpConnectPlugin
from localagent_connect_aiohttp.settings import AiohttpConnectSettings
from localagent_connect_aiohttp.tls import tls_context

if TYPE_CHECKING:
    from localagent_connect_aiohttp.sessions import Sessions
    from localagent_connect_aiohttp.transport import AiohttpTransport

__all__ = [
    "AiohttpConnectPlugin",
    "AiohttpConnectSettings",
    "AiohttpTransport",
    "Inflater",
    "Permits",
    "Sessions",
    "check_head",
    "check_reason",
    "check_size",
    "ends_after_stream",
    "inflater_for",
    "is_stale",
    "kept_for",
    "tls_context",
]

_HEAVY = {"AiohttpTransport": "transport", "Sessions": "sessions"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HEAVY[name]}"), name)
