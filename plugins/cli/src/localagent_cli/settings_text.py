"""Settings as TOML text: a sample file, and the settings in effect without any key."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import attrs

from localagent import Secret, SecretRef, Settings
from localagent.settings import NAME_RUN, looks_secret, names_secret, reading_of, setting_fields
from localagent_cli.toml_writing import write_toml

HIDDEN = "***"
# The values of these are names of models, which are long and mixed like API keys.
MODEL_NAMES = frozenset({"default_model", "targets"})

SAMPLE = """\
# Settings of LocalAgent. A line that begins with #name or #[table] shows a default or an example: remove the # to use
# it. Durations: "250 ms", "30 s", "5 min", "1 h". Sizes: "64 KiB", "256 MiB". API keys are never written in this file.

# The active plugins; without this line, all installed ones. Their order does not matter here.
#use = ["connect-aiohttp", "provider-NAME", "cache-NAME"]

# The model or alias for requests that name none.
#default_model = "fast"

# The timeout of a whole call, and its maximum number of attempts.
#timeout = "10 min"
#max_attempts = 6

# The folder for files that are kept after the process ends.
#state_folder = "~/.local/state/localagent"

# One name for several models; the first that can answer is used.
#[models.fast]
#targets = ["home/llama3.2:3b", "openai/gpt-5-mini"]

# A provider: one or more servers. Without a type, its own name is its type.
#[providers.home]
#type = "openai"
#instances = ["http://127.0.0.1:8080/v1", { url = "http://10.0.0.6:8080/v1", weight = 2, name = "big" }]

# API keys are references to an environment variable or a file.
#[providers.openai]
#keys = [{ env = "OPENAI_API_KEY" }]

# All settings that every provider has.
#[providers.vllm]
#type = "openai"
#instances = ["http://10.0.0.7:8000/v1"]
#keys = [{ file = "vllm.key" }]
#headers = { X-Title = "my program" }
#authority = "authority.pem"
#allow_metadata_address = false
#pool = { limit = 100, keepalive = "4 s" }
#size_limits = { body = "64 MiB", error = "64 KiB", event = "8 MiB", stream = "128 MiB", models = "4 MiB" }
#[providers.vllm.timeouts]
#connect = "10 s"
#pool = "30 s"
#send = "1 min"
#load = "5 min"
#first_token = "5 min"
#idle = "2 min"
#total = "10 min"

# Settings of a plugin, under its name.
#[plugins.NAME]
#max_size = "256 MiB"

# The plugins whose steps come first in a hook, and the timeout of one step of a hook.
#[order]
#cache_lookup = ["cache-memory", "cache-sqlite"]
#[step_timeouts]
#pre_request = "5 s"

# Which calls may share an answer: "deterministic" ones, or "all"; how many answers are kept for a request that is not
# deterministic; and whether identical simultaneous calls make one upstream call (default: if there is a cache).
#[sharing]
#policy = "deterministic"
#samples = 1
#flights = true

# How many retries all calls together may make: a share of the calls in the window, and a number per second in any case.
#[retry]
#ratio = 0.2
#floor = 10
#window = "10 s"

# The health checks of instances.
#[health]
#interval = "15 s"
#enabled = true
"""


def sample_settings() -> str:
    """Return a settings file to start from: every setting of the core, commented out, with its default."""
    return SAMPLE


def show(settings: Settings) -> str:
    """Return the settings in effect as TOML, defaults included, keys only as references.

    A text that may be a key, in the table of a plugin or in the settings of a provider type, is shown as ``***``.
    """
    table = _table(settings)
    for name, provider in settings.providers.items():
        table["providers"][name] |= _raw(provider.extra, ())
    return write_toml(table)


def _plain(value: Any, kind: Any, key: str) -> Any:
    """Convert the value of a setting, of the annotated type, to tables, lists and plain values."""
    if isinstance(value, SecretRef):
        return _reference(value)
    if attrs.has(type(value)):
        return _table(value)
    if isinstance(value, Mapping):
        member = (*get_args(kind), Any, Any)[1]
        return {name: _plain(item, member, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, Any, key) for item in value]
    if isinstance(value, str | Path):
        return HIDDEN if looks_secret(str(value), None if key in MODEL_NAMES else NAME_RUN) else str(value)
    return with_unit(value, kind)


def with_unit(value: Any, kind: Any) -> Any:
    """Return a number as text in the largest unit that represents it exactly; the value itself if it has no unit."""
    if (reading := reading_of(kind)) is None:
        return value
    for unit, (multiplier, divisor) in reading.units.items():
        count = round(Fraction(value) * divisor / multiplier)
        if 1 <= count < 10**15 and reading.read(text := f"{count} {unit}") == value:
            return text
    return value


def _table(settings: Any) -> dict[str, Any]:
    table = {}
    for key, field in setting_fields(type(settings)).items():
        value = getattr(settings, field.attribute)
        unread = isinstance(settings, Settings) and key == "plugins"
        table[key] = _raw(value, (key,)) if unread else _plain(value, field.kind, key)
    return table


def _raw(value: Any, path: tuple[str, ...]) -> Any:
    """Hide the values in an unread table that may be keys, by their names or by their form."""
    if isinstance(value, Mapping):
        return {HIDDEN if looks_secret(key, NAME_RUN) else key: _raw(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_raw(item, path) for item in value]
    if not isinstance(value, str | Secret):
        return value
    named = any(names_secret(name) for name in path) and path[-1] not in ("env", "file")
    return HIDDEN if named or isinstance(value, Secret) or looks_secret(value, NAME_RUN) else value


def _reference(reference: SecretRef) -> dict[str, str]:
    if reference.given is not None:
        return {"env": HIDDEN}
    kind, name = ("env", reference.env) if reference.env else ("file", str(reference.file))
    return {kind: HIDDEN if looks_secret(Path(str(name)).name, NAME_RUN) else str(name)}
