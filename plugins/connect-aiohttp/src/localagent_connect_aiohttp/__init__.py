"""The default transport: HTTP over aiohttp, with a pool of connections for every instance.

aiohttp is imported with the first transport, so that a program that sends nothing does not load it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from localagent_connect_aiohttp.plugin import AiohttpConnectPlugin
from localagent_connect_aiohttp.settings import AiohttpConnectSettings

if TYPE_CHECKING:
    from localagent_connect_aiohttp.sessions import Sessions
    from localagent_connect_aiohttp.transport import AiohttpTransport

__all__ = ["AiohttpConnectPlugin", "AiohttpConnectSettings", "AiohttpTransport", "Sessions"]

_HEAVY = {"AiohttpTransport": "transport", "Sessions": "sessions"}


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HEAVY[name]}"), name)
