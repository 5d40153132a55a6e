"""What every provider has in the settings, whatever its type."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.errors import SettingsError
from localagent.records import PoolProfile, SizeLimits
from localagent.settings.provider import InstanceSettings, ProviderSettings
from localagent.structuring.place import Place
from localagent.structuring.secrets import SecretRef
from localagent.timing import Timeouts
from localagent_testing.canaries import CANARY_KEY, Canaries


def provider(table: Any, name: str = "vllm") -> ProviderSettings:
    return ProviderSettings.from_settings(table, Place("localagent.toml").key("providers").key(name))


def refusal(table: Any, name: str = "vllm") -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        provider(table, name)
    return caught.value


def test_the_type_is_the_provider_s_own_name_when_it_is_left_out() -> None:
    """Several providers of one type are normal."""
    assert provider({}, "openai").type == "openai"
    assert provider({"type": "openai"}).type == "openai"


def test_an_instance_is_an_address_or_a_table() -> None:
    """The short form is the usual one."""
    table = {"instances": ["http://10.0.0.5:1/", {"url": "http://10.0.0.6:1", "weight": 2, "name": "big"}]}
    assert provider(table).instances == (
        InstanceSettings("http://10.0.0.5:1"),
        InstanceSettings("http://10.0.0.6:1", 2.0, "big"),
    )


def test_clocks_caps_and_pool_are_written_with_units() -> None:
    """A missing setting keeps its default."""
    table = {
        "timeouts": {"connect": "250 ms", "first_token": "2 min"},
        "size_limits": {"event": "1 MiB"},
        "pool": {"limit": 50, "keepalive": "30 s"},
    }
    read = provider(table)
    assert read.timeouts == Timeouts(connect=0.25, first_token=120.0)
    assert read.size_limits == SizeLimits(event=2**20)
    assert read.pool == PoolProfile(limit=50, keepalive=30.0)


def test_what_is_not_common_is_left_for_the_type() -> None:
    """Raw, because only the type knows it."""
    assert provider({"num_ctx": 8192, "extra": 1}).extra == {"num_ctx": 8192, "extra": 1}


def test_keys_and_secret_headers_are_references() -> None:
    """Other headers may be plain text."""
    read = provider({"keys": [{"env": "A"}], "headers": {"X-Title": "mine", "Authorization": {"env": "B"}}})
    assert read.keys == (SecretRef(env="A"),)
    assert read.headers == {"X-Title": "mine", "Authorization": SecretRef(env="B")}


@pytest.mark.parametrize(
    "table",
    [
        {"keys": CANARY_KEY},
        {"keys": [CANARY_KEY]},
        {"keys": [{"env": CANARY_KEY}]},
        {"headers": {"Authorization": f"Bearer {CANARY_KEY}"}},
        {"headers": {"x-api-key": CANARY_KEY}},
        {"headers": {"X-Title": f"a\r\nAuthorization: {CANARY_KEY}"}},
        {"headers": {f"a {CANARY_KEY}": "x"}},
        {"headers": CANARY_KEY},
        {"instances": [f"http://user:{CANARY_KEY}@h/"]},
        {"instances": [f"http://h/?key={CANARY_KEY}"]},
        {"instances": [{"url": CANARY_KEY}]},
        {"instances": CANARY_KEY},
        {"instances": [{"url": "http://h", "key": CANARY_KEY}]},
        {"pool": {"limit": CANARY_KEY}},
        {"timeouts": CANARY_KEY},
        {"timeouts": {CANARY_KEY: 1}},
        {"type": [CANARY_KEY]},
        CANARY_KEY,
    ],
)
def test_a_key_in_a_wrong_place_is_refused_and_never_shown(table: Any, canaries: Canaries) -> None:
    """Wherever somebody may think that it belongs."""
    error = refusal(table)
    canaries.watch(error)
    assert error.message.startswith("localagent.toml: providers.vllm")


def test_a_key_in_a_header_is_told_where_it_belongs() -> None:
    """Header and way out are named."""
    error = refusal({"headers": {"Authorization": "Bearer x"}})
    assert error.message == (
        'localagent.toml: providers.vllm.headers.Authorization: expected a reference: { env = "NAME" } or '
        '{ file = "path" }, not text.'
    )
    assert error.hint == "Do not write keys into the settings."


def test_a_link_local_address_is_refused_unless_it_is_meant() -> None:
    """A cloud's credentials are one request away from anyone who can write an address."""
    table = {"instances": ["http://10.0.0.5", "http://169.254.169.254/latest"]}
    error = refusal(table)
    assert error.message.startswith("localagent.toml: providers.vllm.instances[1]: a link-local address")
    assert "allow_metadata_address = true" in str(error)
    assert len(provider({**table, "allow_metadata_address": True}).instances) == 2


@pytest.mark.parametrize("name", ["a/b", "", "my provider", "-x", "a@b"])
def test_a_provider_s_name_can_stand_in_the_name_of_a_model(name: str) -> None:
    """``provider/name`` is split at the first slash."""
    assert 'a name of letters, digits, ".", "_" and "-"' in refusal({}, name).message


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"instances": ["localhost:8000"]}, 'instances[0] = "localhost:8000": expected an address such as'),
        ({"instances": [{"weight": 2}]}, "instances[0].url is missing: expected an address such as"),
        ({"instances": [{"url": "http://h", "weight": 0}]}, "instances[0].weight = 0: expected a number above zero."),
        ({"pool": {"limt": 5}}, "pool.limt is unknown: expected keepalive or limit."),
        ({"timeouts": {"connect": "0 s"}}, 'timeouts.connect = "0 s": expected a duration such as'),
        ({"headers": {"a b": "x"}}, 'headers."a b": expected the name of a header.'),
        ({"headers": {"X-Title": 5}}, "headers.X-Title: expected text or a reference"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(table: Any, said: str) -> None:
    """With the provider's name in front."""
    assert refusal(table).message.startswith(f"localagent.toml: providers.vllm.{said}")


def test_an_object_is_taken_as_it_is() -> None:
    """Programs may build providers themselves."""
    made = ProviderSettings(type="openai")
    assert provider(made) is made


def test_a_pool_remembers_what_was_chosen() -> None:
    """What the settings name wins over another profile; the rest, and a pool that nobody wrote, do not."""
    other = PoolProfile(limit=10, keepalive=60.0)
    assert provider({"pool": {"limit": 50}}, "v").pool.over(other) == PoolProfile(limit=50, keepalive=60.0)
    assert provider({"pool": {}}, "v").pool.over(other) == other
    assert provider({}, "v").pool.over(other) == other
    assert PoolProfile(limit=50).over(other) == PoolProfile(limit=50, keepalive=4.0)


def test_what_stands_beneath_a_profile_is_not_chosen() -> None:
    """So a further profile may come between the two: the settings of a plugin between the provider's and its type's."""
    of_its_type, between = PoolProfile(limit=10, keepalive=60.0), provider({"pool": {"limit": 20, "keepalive": 9}}, "p")
    merged = provider({"pool": {"limit": 50}}, "v").pool.over(of_its_type)
    assert merged == PoolProfile(limit=50, keepalive=60.0)
    assert merged.over(between.pool.over(merged)) == PoolProfile(limit=50, keepalive=9.0)
