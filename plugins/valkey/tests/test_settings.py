"""``[plugins.cache-valkey]``: what is understood, and what is refused in one sentence that shows no password."""

from __future__ import annotations

import pytest

from localagent import Client, Secret
from localagent.errors import SettingsError
from localagent_testing import CANARY_KEY, Canaries
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress


async def opened(table: dict[str, object]) -> ValkeyCacheSettings:
    """Open a client with these settings; it connects to nobody before somebody asks."""
    async with Client({"plugins": {"cache-valkey": table}}, plugins=[ValkeyCachePlugin], environment={}) as client:
        settings = (await client.runtime()).pipeline.plugins["cache-valkey"].settings
        assert isinstance(settings, ValkeyCacheSettings)
        return settings


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://10.0.0.9", ServerAddress("10.0.0.9")),
        ("valkey://cache.example:6380/3", ServerAddress("cache.example", 6380, 3)),
        ("rediss://[::1]:7000/", ServerAddress("::1", 7000, tls=True)),
        ("valkeys://cache", ServerAddress("cache", tls=True)),
    ],
)
async def test_addresses_are_read(url: str, address: ServerAddress) -> None:
    """Both names of the protocol, with TLS and without; port and database may be left out."""
    assert (await opened({"url": url})).url == address


async def test_units_are_read() -> None:
    """Sizes and times are written as people write them."""
    table = {"ttl": "2 h", "budget": "20 ms", "pause": "1 min", "compress_above": "1 KiB", "max_value": "2 MiB"}
    settings = await opened(table)
    assert (settings.ttl, settings.budget, settings.pause) == (7200.0, 0.02, 60.0)
    assert (settings.compress_above, settings.max_value) == (1024, 2**21)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"url": "10.0.0.9:6379"}, "expected an address such as"),
        ({"url": "http://10.0.0.9"}, "expected an address such as"),
        ({"url": "redis://host/x"}, "expected an address such as"),
        ({"url": "redis://host:99999"}, "expected an address such as"),
        ({"url": "redis://host:0"}, "expected an address such as"),
        ({"url": "redis://host/1?db=2"}, "expected an address such as"),
        ({"url": 6379}, "expected an address such as"),
        ({"url": "redis://host", "password": "secret"}, "password: expected a reference"),
        ({"user": "me"}, "user needs a password"),
        ({"prefix": "two words"}, "prefix must be"),
        ({"prefix": ""}, "prefix must be"),
        ({"ttl": 0.0001}, "ttl must be"),
        ({"ttl": "4000 d"}, "ttl must be"),
        ({"budget": 0}, "budget"),
        ({"pool_size": 0}, "pool_size"),
        ({"max_value": "much"}, "max_value"),
        ({"adress": "redis://host"}, "adress is unknown"),
    ],
)
async def test_wrong_settings_are_refused(table: dict[str, object], said: str) -> None:
    """At start, in one sentence that names the table."""
    with pytest.raises(SettingsError, match=said) as refusal:
        await opened(table)
    assert "plugins.cache-valkey" in refusal.value.message


async def test_a_password_that_is_not_there_leaves_the_cache_out(caplog: pytest.LogCaptureFixture) -> None:
    """One warning names the variable; requests are answered without this cache."""
    await opened({"url": "redis://host", "password": {"env": "SURELY_NOT_SET"}})
    (said,) = [record.message for record in caplog.records]
    assert "cache-valkey does nothing" in said
    assert "SURELY_NOT_SET is not set" in said


@pytest.mark.parametrize(
    "url", [f"redis://:{CANARY_KEY}@host", f"redis://me:{CANARY_KEY}@host:x", f"{CANARY_KEY}@host"]
)
async def test_a_password_in_the_address_is_refused_and_not_shown(url: str, canaries: Canaries) -> None:
    """It belongs into the environment or a file."""
    with pytest.raises(SettingsError, match="expected an address") as refusal:
        await opened({"url": url})
    canaries.watch(refusal.value)


async def test_settings_do_not_show_the_password(canaries: Canaries) -> None:
    """A program may pass it; the settings' text hides it."""
    settings = await opened({"url": "redis://host", "user": "me", "password": Secret(CANARY_KEY)})
    canaries.watch(repr(settings))
    assert settings.password is not None
