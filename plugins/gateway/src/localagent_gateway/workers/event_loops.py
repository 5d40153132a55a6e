"""Which event loop a worker runs on."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from localagent import StartError
from localagent.plugin_api.installing import install


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop of a name, for ``asyncio.Runner``; None for asyncio's own.

    Raises:
        StartError: uvloop is asked for and not installed.
    """
    if name == "asyncio":
        return None
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        raise StartError("The event loop uvloop is not installed.",
                         mend=install("localagent-gateway", extra="uvloop")) from None  # fmt: skip
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
