"""Keeps track of which models are loaded at which instance, to choose the timeout of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from localagent import Instance, Target
from localagent_provider_ollama.settings import DEFAULT_KEEP_ALIVE, keep_alive_seconds

# A change of these makes Ollama load the model again (``api.Runner`` in its sources).
LOAD_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
KNOWN_AT_MOST = 2_000


class Warmth:
    """The models that this process has seen answer, and until when they stay loaded.

    It may be wrong both ways: other clients may have loaded the model, and Ollama unloads models when memory runs
    out. A wrong guess only selects the other timeout.

    Args:
        clock: Returns the time in seconds.
    """

    __slots__ = ("_clock", "_known")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[Instance, str], tuple[float, tuple[Any, ...]]] = {}

    def knows(self, target: Target, body: Mapping[str, Any]) -> bool:
        """Return whether the model is loaded with the parameters that a request asks for."""
        known = self._known.get((target.instance, target.model))
        return known is not None and self._clock() < known[0] and known[1] == _loading(body)

    def answered(self, target: Target, body: Mapping[str, Any]) -> None:
        """Record that the model answers a request now."""
        try:
            seconds = keep_alive_seconds(body.get("keep_alive", DEFAULT_KEEP_ALIVE))
        except ValueError:  # Ollama accepted it in another format
            seconds = DEFAULT_KEEP_ALIVE
        if len(self._known) >= KNOWN_AT_MOST:
            self._known.clear()
        self._known[target.instance, target.model] = self._clock() + seconds, _loading(body)


def _loading(body: Mapping[str, Any]) -> tuple[Any, ...]:
    options = body.get("options") or {}
    return tuple([options.get(name) for name in LOAD_OPTIONS])
