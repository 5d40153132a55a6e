"""The settings of ``[providers.NAME]`` of type ``ollama``."""

from __future__ import annotations

import math
import re
from typing import Any

import attrs

from localagent import Count

DEFAULT_KEEP_ALIVE = 300.0  # seconds that Ollama keeps an unused model by default

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")


def keep_alive_seconds(value: object) -> float:
    """Return how long Ollama keeps a model in memory after a request, in seconds; infinite for negative durations.

    Args:
        value: The value in the request: seconds as a number, or a duration in Go's format (``"5m"``, ``"1h30m"``).

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else math.inf
    if not isinstance(value, str):
        raise ValueError("no duration")
    text = value.removeprefix("-").removeprefix("+")
    parts = _PART.findall(text)
    if text != "0" and (not parts or "".join(map("".join, parts)) != text):
        raise ValueError("no duration")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return math.inf if value.startswith("-") and seconds else seconds


def _check_keep_alive(settings: Any, attribute: Any, value: Any) -> None:
    try:
        keep_alive_seconds(value)
    except ValueError:
        raise ValueError('keep_alive: expected a duration in Ollama\'s format, such as "5m", "1h30m", "-1s"') from None


@attrs.frozen
class OllamaSettings:
    """``[providers.NAME]`` of type ``ollama``, beyond what every provider has: defaults of all its requests.

    Attributes:
        num_ctx: Size in tokens of the context window that the model is loaded with; None leaves it to Ollama.
        keep_alive: How long a model stays in memory after a request, in Ollama's format: ``"5m"``, ``"1h30m"``,
            ``"0"`` (not at all), ``"-1s"`` (forever).
        options: Any of Ollama's options by its own name, such as ``{ num_gpu = 20, repeat_penalty = 1.1 }``.
    """

    num_ctx: Count | None = None
    keep_alive: str | None = attrs.field(default=None, validator=attrs.validators.optional(_check_keep_alive))
    options: dict[str, Any] = attrs.field(factory=dict)
