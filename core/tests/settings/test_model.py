"""The settings of the core, as a mapping of the same shape as the file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent.errors import SettingsError
from localagent.settings.model import Alias, HealthSettings, RetryBudgetSettings, Settings, Sharing
from localagent.structuring.fields import Bytes, Seconds
from localagent.structuring.secrets import SecretRef
from localagent_testing.canaries import CANARY_KEY, Canaries

EXAMPLE = """
use = ["connect-aiohttp", "cache-memory", "rate-limit", "failure-retry", "provider-ollama", "provider-openai"]
default_model = "fast"

[models.fast]
targets = ["ollama/llama3.2:3b", "vllm/qwen3-8b", "openai/gpt-5-mini"]

[providers.ollama]
instances = ["http://10.0.0.5:11434", { url = "http://10.0.0.6:11434", weight = 2 }]
[providers.vllm]
type = "openai"
instances = ["http://10.0.0.7:8000/v1"]
pool = { limit = 50, keepalive = "30 s" }
[providers.openai]
keys = [{ env = "OPENAI_API_KEY" }]

[plugins.cache-memory]
max_size = "256 MiB"
ttl = "1 h"
[order]
rate_check = ["failure-breaker", "rate-limit"]
"""


@attrs.frozen
class CacheSettings:
    """The settings class of a plugin."""

    max_size: Bytes = 1024
    ttl: Seconds = 60.0


@attrs.frozen
class TypeSettings:
    """The settings class of a provider type."""

    context: int = 4096
    token: SecretRef | None = None


def settings(toml: str = EXAMPLE) -> Settings:
    return Settings.from_mapping(tomllib.loads(toml), "localagent.toml")


def refusal(mapping: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(mapping)
    return caught.value


def test_the_settings_of_the_documentation_are_read() -> None:
    """The whole of what a settings file usually holds."""
    read = settings()
    assert read.use is not None
    assert read.use[:2] == ("connect-aiohttp", "cache-memory")
    assert read.models == {"fast": Alias(("ollama/llama3.2:3b", "vllm/qwen3-8b", "openai/gpt-5-mini"))}
    assert [(name, provider.type) for name, provider in read.providers.items()] == [
        ("ollama", "ollama"), ("vllm", "openai"), ("openai", "openai"),
    ]  # fmt: skip
    assert read.providers["vllm"].pool.keepalive == 30.0
    assert read.order == {"rate_check": ("failure-breaker", "rate-limit")}


def test_nothing_is_a_setting_that_must_be_made() -> None:
    """An empty file means the defaults."""
    assert Settings.from_mapping({}) == Settings()
    assert (Settings().use, Settings().timeout, Settings().max_attempts) == (None, 600.0, 6)
    assert (Settings().sharing, Settings().retry, Settings().health) == (
        Sharing("deterministic"), RetryBudgetSettings(0.2, 10.0, 10.0), HealthSettings(15.0, True),
    )  # fmt: skip


def test_limits_and_clocks_of_the_core_are_written_with_units() -> None:
    """Durations are seconds afterwards."""
    read = settings('timeout = "2 min"\nstep_timeouts = { rate_check = "500 ms" }\nhealth = { interval = "1 min" }')
    assert (read.timeout, read.step_timeouts, read.health.interval) == (120.0, {"rate_check": 0.5}, 60.0)


def test_an_alias_may_be_the_bare_list_of_its_targets() -> None:
    """The short form is the same alias."""
    assert settings('[models]\nfast = ["a/b"]') == settings('[models.fast]\ntargets = ["a/b"]')


@pytest.mark.parametrize("target", ["gpt-5", "/x", "x/", ""])
def test_a_target_is_a_provider_and_a_name(target: str) -> None:
    """Everything behind the first slash is the name."""
    error = refusal({"models": {"fast": ["a/b/c:1", target]}})
    assert error.message == f'settings: models.fast.targets[1] = "{target}": expected a model as "provider/name".'


def test_an_alias_has_a_target() -> None:
    """An empty one could never answer."""
    assert (
        refusal({"models": {"fast": []}}).message == "settings: models.fast: expected at least one target, not a list."
    )


# Choosing plugins ----------------------------------------------------------------------------------------------------


def test_plugins_may_be_the_list_where_no_plugin_has_settings() -> None:
    """``plugins = [...]`` means ``use = [...]`` as long as it can mean nothing else."""
    assert settings('plugins = ["cache-memory"]') == settings('use = ["cache-memory"]')


def test_an_empty_list_means_no_plugin() -> None:
    """Which is not the same as no list."""
    assert settings("use = []").use == ()


def test_a_list_of_plugins_beside_use_is_refused() -> None:
    """One of the two would be ignored in silence."""
    assert "because use already chooses them" in refusal({"plugins": ["a"], "use": ["b"]}).message


def test_a_wrong_name_in_the_list_is_told_where_it_was_written() -> None:
    """Not where it would have been."""
    assert refusal({"plugins": ["a", 5]}).message == "settings: plugins[1] = 5: expected text."


def test_a_list_inside_the_table_of_plugins_is_sent_to_its_place() -> None:
    """``[plugins]`` with ``active = [...]`` is what other programs have."""
    error = refusal({"plugins": {"active": ["cache-memory"]}})
    assert error.message == "settings: plugins.active: expected a table, not a list."
    assert error.hint == "Plugins are chosen by use = [...] at the top."


def test_a_name_of_the_top_below_a_header_is_sent_to_the_top() -> None:
    """What follows a header belongs to that header."""
    error = refusal(tomllib.loads('[models.fast]\ntargets = ["a/b"]\ndefault_model = "fast"'))
    assert error.hint == "default_model belongs at the top of the file, above the first [table]."


# What belongs to plugins and types -----------------------------------------------------------------------------------


def test_a_plugin_s_table_is_read_with_the_plugin_s_class() -> None:
    """Without a table, its defaults."""
    assert settings().for_plugin("cache-memory", CacheSettings) == CacheSettings(256 * 2**20, 3600.0)
    assert settings().for_plugin("rate-limit", CacheSettings) == CacheSettings()


def test_a_wrong_name_in_a_plugin_s_table_is_told_with_file_and_key() -> None:
    """As if the core had read it itself."""
    with pytest.raises(SettingsError) as caught:
        settings("[plugins.cache-memory]\nmax-size = 1").for_plugin("cache-memory", CacheSettings)
    assert str(caught.value) == (
        "localagent.toml: plugins.cache-memory.max-size is unknown: expected max_size or ttl. Did you mean max_size?"
    )


def test_what_a_provider_holds_beyond_the_common_keys_is_read_with_the_class_of_its_type() -> None:
    """Common and own keys stand side by side in the file."""
    read = settings('[providers.x]\ninstances = ["http://h"]\ncontext = 8192\ntoken = { env = "T" }')
    assert read.for_provider("x", TypeSettings) == TypeSettings(8192, SecretRef(env="T"))


def test_a_wrong_name_of_a_provider_may_have_been_meant_for_a_common_one() -> None:
    """The nearest name is sought among all that fit."""
    with pytest.raises(SettingsError, match="Did you mean instances") as caught:
        settings("[providers.x]\ninstance = 1").for_provider("x", TypeSettings)
    assert "localagent.toml: providers.x.instance is unknown: expected allow_metadata_address" in caught.value.message


def test_a_provider_may_be_added_to_settings() -> None:
    """Such as one whose key is in the environment; its errors name where it comes from."""
    added = Settings().with_provider(
        "openai", {"keys": [{"env": "OPENAI_API_KEY"}], "contxt": 1}, where="the environment"
    )
    assert Settings().providers == {}
    assert added.providers["openai"].keys == (SecretRef(env="OPENAI_API_KEY"),)
    with pytest.raises(SettingsError, match=r"the environment: providers\.openai\.contxt is unknown"):
        added.for_provider("openai", TypeSettings)


def test_paths_are_meant_from_the_folder_of_the_file() -> None:
    """In the core's settings and in those of plugins and types."""
    mapping = tomllib.loads('state_folder = "state"\n[providers.x]\ntoken = { file = "token" }')
    read = Settings.from_mapping(mapping, "localagent.toml", Path("/etc/localagent.toml"))
    assert read.state_folder == Path("/etc/state")
    assert read.for_provider("x", TypeSettings).token == SecretRef(file=Path("/etc/token"))


def test_tables_that_nobody_has_read_yet_are_not_in_the_repr(canaries: Canaries) -> None:
    """Somebody may have written a key into them."""
    read = Settings.from_mapping({"plugins": {"x": {"a": CANARY_KEY}}, "providers": {"x": {"a": CANARY_KEY}}})
    canaries.watch(read)
    assert read.plugins["x"] == read.providers["x"].extra == {"a": CANARY_KEY}


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"timeot": 5}, "settings: timeot is unknown: expected default_model, health,"),
        ({"timeout": "fast"}, 'settings: timeout = "fast": expected a duration such as'),
        ({"timeout": 0}, "settings: timeout = 0: expected a duration such as"),
        ({"max_attempts": 0}, "settings: max_attempts = 0: expected a whole number of at least 1."),
        ({"sharing": {"policy": "some"}}, 'settings: sharing.policy = "some": expected "deterministic" or "all".'),
        ({"retry": {"ratio": 20}}, "settings: retry.ratio = 20: expected a number from 0 to 1."),
        ({"order": {"rate_check": "a"}}, 'settings: order.rate_check = "a": expected a list.'),
        ({"step_timeouts": {"rate_check": []}}, "settings: step_timeouts.rate_check: expected a duration such as"),
        ({"plugins": {"x": 5}}, "settings: plugins.x = 5: expected a table."),
        ({"plugins": 5}, "settings: plugins = 5: expected a table."),
        ({"use": "cache-memory"}, 'settings: use = "cache-memory": expected a list.'),
        ({"source": "x"}, "settings: source is unknown"),
        ({"where": "x"}, "settings: where is unknown"),
        ({"providers": {"x": []}}, "settings: providers.x: expected a table, not a list."),
    ],
)
def test_wrong_names_and_values_are_refused(mapping: dict[str, Any], said: str) -> None:
    """With key, value and what was expected."""
    assert refusal(mapping).message.startswith(said)


@pytest.mark.parametrize(
    "mapping",
    [
        {"api_key": CANARY_KEY},
        {CANARY_KEY: 1},
        {"default_model": [CANARY_KEY]},
        {"timeout": CANARY_KEY},
        {"use": CANARY_KEY},
        {"use": [[CANARY_KEY]]},
        {"plugins": [[CANARY_KEY]]},
        {"plugins": {"x": CANARY_KEY}},
        {"models": {"fast": [CANARY_KEY]}},
        {"models": {"fast": CANARY_KEY}},
        {"providers": {"openai": {"keys": [CANARY_KEY]}}},
        {"providers": {CANARY_KEY: []}},
        {"sharing": {"policy": CANARY_KEY}},
        {"order": CANARY_KEY},
        {"health": {"enabled": CANARY_KEY}},
        {"state_folder": [CANARY_KEY]},
    ],
)
def test_a_key_in_a_wrong_place_is_never_shown(mapping: dict[str, Any], canaries: Canaries) -> None:
    """Refused, and kept out of the error and of all that hangs on it."""
    error = refusal(mapping)
    canaries.watch(error)
    assert error.message.startswith("settings: ")
