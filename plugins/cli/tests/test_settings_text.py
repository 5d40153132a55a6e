"""Settings as text: the sample, and what is in force."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localagent.records import PoolProfile, SizeLimits
from localagent.settings import read_seconds, setting_fields
from localagent.settings.model import Alias, HealthSettings, RetryBudgetSettings, Settings, Sharing
from localagent.settings.provider import InstanceSettings, ProviderSettings
from localagent.structuring.fields import SIZES, Bytes, PositiveSeconds, Seconds, read_bytes
from localagent.structuring.secrets import Secret
from localagent.timing import Timeouts
from localagent_cli.settings_text import sample_settings, show, with_unit
from localagent_cli.toml_writing import write_toml
from localagent_testing.canaries import CANARY_KEY, Canaries

PAGE = Path(__file__).parents[3] / "docs/reference/settings.md"
TABLES = [
    Settings, Alias, ProviderSettings, InstanceSettings, Timeouts, SizeLimits, PoolProfile, Sharing,
    RetryBudgetSettings, HealthSettings,
]  # fmt: skip
TABLES_OF_THE_TOP = [
    setting_fields(Settings)[key].kind for key in ("models", "providers", "plugins", "order", "step_timeouts")
]

FULL = """
use = ["cache-memory"]
default_model = "fast"
timeout = "90 s"
state_folder = "/srv/state"
[models]
"gpt 4.1" = ["a/b_model_with_a_long_name_8b_instruct"]
[providers.a]
type = "openai"
instances = [{ url = "http://h:1", weight = 2, name = "big" }]
keys = [{ env = "A_KEY" }, { file = "/run/secrets/a" }]
headers = { X-Title = "mine", Authorization = { env = "B" } }
timeouts = { first_token = "250 ms" }
size_limits = { error = "1 KiB" }
context = 8192
[plugins.cache-memory]
ttl = "1 h"
when = 2026-01-02
[order]
rate_check = ["a", "b"]
[step_timeouts]
rate_check = 0.3
[sharing]
policy = "all"
"""


def read(toml: str) -> Settings:
    return Settings.from_mapping(tomllib.loads(toml))


def uncommented(toml: str) -> str:
    """Take the # from every line that shows a setting; prose has a space after it."""
    return re.sub(r"^#(?=\S)", "", toml, flags=re.MULTILINE)


def rows_of(cls: Any) -> Iterator[str]:
    """Give the beginnings of the rows that the reference has for a class: key and default, as they are written."""
    defaults = {field.name: field.default for field in attrs.fields(cls)}
    for key, field in setting_fields(cls).items():
        if is_table(field.kind):
            continue
        default = defaults[field.attribute]
        cell = ""
        if isinstance(default, str | int | float):
            line = write_toml({key: with_unit(default, field.kind)})
            cell = f"`{line.removeprefix(f'{key} = ').strip()}`"
        yield f"| `{key}` | {cell} |"


def is_table(kind: Any) -> bool:
    return (isinstance(kind, type) and attrs.has(kind)) or kind in TABLES_OF_THE_TOP


def keys_of(cls: Any) -> Iterator[str]:
    """Give the key of every setting of a class and of the classes in it."""
    for key, field in setting_fields(cls).items():
        yield key
        for kind in (field.kind, *get_args(field.kind)):
            if isinstance(kind, type) and attrs.has(kind):
                yield from keys_of(kind)


# The sample ----------------------------------------------------------------------------------------------------------


def test_the_sample_is_a_settings_file_that_changes_nothing() -> None:
    """The sample file can be used at once."""
    assert read(sample_settings()) == Settings()


def test_every_line_of_the_sample_may_be_used() -> None:
    """With all lines uncommented it is a valid file."""
    sample = read(uncommented(sample_settings()))
    assert list(sample.providers) == ["home", "openai", "vllm"]


def test_what_the_sample_calls_a_default_is_the_default() -> None:
    """Except for the examples that it needs, and defaults that are decided elsewhere."""
    sample, defaults = read(uncommented(sample_settings())), Settings()
    for name in ("timeout", "max_attempts", "retry", "health"):
        assert getattr(sample, name) == getattr(defaults, name)
    common, plain = sample.providers["vllm"], Settings().with_provider("vllm", {}, "test").providers["vllm"]
    assert (common.pool, common.size_limits) == (plain.pool, plain.size_limits)
    for field in attrs.fields(type(plain.timeouts)):
        assert getattr(plain.timeouts, field.name) in (None, getattr(common.timeouts, field.name))


def test_every_setting_of_the_core_is_in_the_sample() -> None:
    """A setting that nobody can find does not exist."""
    sample = sample_settings()
    assert [key for key in keys_of(Settings) if not re.search(rf"\b{key}\b", sample)] == []


# The reference -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", TABLES)
def test_the_reference_has_a_row_with_the_default_for_every_setting(cls: type) -> None:
    """What the page says is what holds."""
    missing = [row for row in rows_of(cls) if row not in PAGE.read_text()]
    assert missing == []


def test_the_examples_of_the_reference_are_settings() -> None:
    """They can be copied."""
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [read(example) == Settings() for example in examples] == [False]


# What is in force ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toml", ["", FULL, uncommented(sample_settings())], ids=["defaults", "full", "sample"])
def test_what_is_shown_reads_as_itself(toml: str) -> None:
    """Nothing is lost, but for names of files: relative ones are shown whole."""
    assert read(show(read(toml))) == read(toml)


def test_defaults_are_shown_with_units() -> None:
    """What is in force, also when nobody wrote it."""
    shown = show(read("[providers.x]"))
    assert 'timeout = "10 min"' in shown
    assert '[providers.x.size_limits]\nbody = "64 MiB"' in shown


def test_keys_are_shown_as_references(canaries: Canaries) -> None:
    """A key that a program passed has none, so it is only said to be there."""
    settings = Settings.from_mapping({"providers": {"x": {"keys": [{"env": "A"}, Secret(CANARY_KEY)]}}})
    canaries.watch(show(settings))
    assert 'keys = [{ env = "A" }, { env = "***" }]' in show(settings)


@pytest.mark.parametrize(
    "mapping",
    [
        {"plugins": {"x": {"api_key": CANARY_KEY}}},
        {"plugins": {"x": {"keys": {"admin": "hunter2"}}}},
        {"plugins": {"x": {"tokens": [{"name": CANARY_KEY}]}}},
        {"plugins": {"x": {"token": ["hunter2"]}}},
        {"plugins": {"x": {"innocent": CANARY_KEY}}},
        {"plugins": {"x": {"keys": [{"env": CANARY_KEY}]}}},
        {"plugins": {"x": {"thing": Secret(CANARY_KEY)}}},
        {"providers": {"x": {"client_secret": "hunter2"}}},
        {"providers": {"x": {"headers": {"X-Title": CANARY_KEY}}}},
        {"providers": {"x": {"keys": [{"env": "gsk_hunter2"}]}}},
        {"providers": {"x": {"keys": [{"file": CANARY_KEY}]}}},
        {"providers": {"x": {"instances": [f"http://h/{CANARY_KEY}"]}}},
        {"default_model": CANARY_KEY, "plugins": {"x": {CANARY_KEY: 1}}},
    ],
)
def test_what_may_be_a_key_is_hidden(mapping: dict[str, Any], canaries: Canaries) -> None:
    """Also in tables that nobody has read yet."""
    shown = show(Settings.from_mapping(mapping))
    canaries.watch(shown)
    assert "hunter2" not in shown
    assert "***" in shown


def test_references_and_plain_values_of_plugins_are_shown() -> None:
    """Hiding them would help nobody."""
    shown = show(read('[plugins.x]\nkeys = [{ env = "A" }]\nmodel = "qwen2-5-coder-32b-instruct"\nsize = 5'))
    assert '[plugins.x]\nkeys = [{ env = "A" }]\nmodel = "qwen2-5-coder-32b-instruct"\nsize = 5' in shown


@given(seconds=st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 10**9).map(float))
def test_a_duration_that_is_shown_reads_as_itself(seconds: float) -> None:
    """What is written is what the settings read."""
    assert read_seconds(with_unit(seconds, Seconds)) == seconds


@given(
    size=st.integers(0)
    | st.builds(lambda count, unit: count * SIZES[unit][0], st.integers(0, 10**20), st.sampled_from(sorted(SIZES)))
)
@example(size=182137125091735000000)
@example(size=2**53 + 1)
@example(size=(10**18 - 1) * 2**40)
@example(size=10**18 * 2**40)
@example(size=10**400)
def test_a_size_that_is_shown_reads_as_itself(size: int) -> None:
    """What is written is what the settings read."""
    assert read_bytes(with_unit(size, Bytes)) == size


def test_durations_and_sizes_are_shown_in_their_largest_whole_unit() -> None:
    """Ten minutes are not six hundred thousand milliseconds."""
    durations = [with_unit(600.0, PositiveSeconds), with_unit(0.25, Seconds), with_unit(90.0, Seconds)]
    assert durations == ["10 min", "250 ms", "90 s"]
    assert [with_unit(size, Bytes) for size in (64 * 2**20, 10**9, 1000, 7)] == ["64 MiB", "1 GB", "1 kB", "7 B"]
