"""The plugin brings its transport, keeps the contract of connect plugins, and says what it leaves to others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from localagent import Client, Instance, Settings
from localagent_connect_fast import FastConnectPlugin, FastConnectSettings, FastTransport
from localagent_testing import ConnectContract, FakeCore

LAZY = "it opens connections when they are needed; connect-aiohttp can open them before"


class TestConnectFast(ConnectContract):
    plugin = FastConnectPlugin
    one_ready = {}  # noqa: RUF012 - a contract's class says what it is

    @pytest.mark.skip(reason=LAZY)
    async def test_a_connection_is_ready_before_the_first_request(self) -> None: ...


@pytest.mark.parametrize(
    "url", ["ws://a.test", "http+unix://x", "http://user:pw@a.test", "http://b\u00fccher.test", "http://a b"]
)
async def test_what_it_does_not_speak_is_left_to_others(url: str) -> None:
    """Other schemes, user names and hosts beyond ASCII get no transport of this plugin."""
    async with FakeCore() as core, core.plugged(FastConnectPlugin) as plugged:
        assert await plugged.ask("connect", Instance("there", "there", "there", url)) is None


async def test_providers_can_be_left_by_name() -> None:
    """``leave`` names providers whose instances other transports serve."""
    settings = FastConnectSettings(leave=("slow",))
    async with FakeCore() as core, core.plugged(FastConnectPlugin, settings) as plugged:
        assert await plugged.ask("connect", Instance("a", "slow", "openai", "http://a.test")) is None
        brought = await plugged.ask("connect", Instance("b", "quick", "openai", "http://a.test"))
        assert isinstance(brought, FastTransport)


def test_it_remarks_what_it_leaves() -> None:
    """``explain`` shows a sentence for each provider that is left, and none for the others."""
    provider = {"type": "openai", "instances": ["http://a.test"]}
    settings = Settings.from_mapping({"providers": {"slow": provider, "quick": provider}})
    plugin = FastConnectPlugin(FastConnectSettings(leave=("slow",)))
    assert list(plugin.remarks(settings)) == ["leaves slow to other transports, because the setting leave names it."]
    assert list(FastConnectPlugin().remarks(settings)) == []


def test_it_is_active_when_it_is_installed() -> None:
    """Nobody needs to name it."""
    assert FastConnectPlugin.default
    assert Client is not None


def test_it_takes_parts_of_the_default_transport_and_not_its_client() -> None:
    """Connection slots and decompression come from there; aiohttp is not imported for them."""
    program = "import sys, localagent_connect_fast.transport; print('aiohttp' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "False\n"
