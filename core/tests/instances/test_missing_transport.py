"""Where no active plugin brings a transport, the request that needs one says what to install."""

from __future__ import annotations

import pytest

from localagent import Client, Instance, InstanceState, Plugin, Transport, hookimpl
from localagent.errors import PluginError
from localagent.plugin_api import install
from localagent.plugin_api.installing import CONNECT, missing_role
from localagent_testing import FaultServer, ReadRequest, Reply, Send, WirePlugin, answer, fake_provider_plugin

CALM = {"health": {"enabled": False}}


class LeavesAll(Plugin):
    """Brings a transport for no instance at all."""

    name = "connect-nothing"

    @hookimpl
    async def connect(self, instance: Instance) -> Transport | None:
        return None


@pytest.mark.parametrize("plugins", [[], [LeavesAll]], ids=["none is there", "it is left to others"])
async def test_a_request_without_a_transport_is_a_typed_error(plugins: list[type[Plugin]]) -> None:
    """It comes with the first request, names the instance, and nothing was sent."""
    async with FaultServer((ReadRequest(), Send(answer(200, b"{}")))) as server:
        settings = {"providers": {"wire": {"instances": [server.url]}}, **CALM}
        async with Client(settings, plugins=[WirePlugin, *plugins], environment={}) as client:
            with pytest.raises(PluginError, match="No active plugin brings a transport for wire@") as caught:
                await client.chat("Hello.", model="wire/m")
            assert caught.value.hint == missing_role(CONNECT, ["connect-aiohttp"])
            with pytest.raises(PluginError, match="No active plugin brings a transport"):
                async with client.stream("Hello.", model="wire/m") as stream:
                    await stream.text()
        assert server.requests == []


async def test_who_sends_nothing_needs_no_transport() -> None:
    """A provider that never uses its transport answers as ever; there are no figures of connections."""
    async with Client(CALM, plugins=[fake_provider_plugin(Reply("Hello."))], environment={}) as client:
        assert (await client.chat("Anybody?")).text == "Hello."
        assert [state.pool for state in await states(client)] == [None]


async def states(client: Client) -> list[InstanceState]:
    runtime = await client.runtime()
    return [runtime.instances.state(instance) for instance in runtime.instances]


@pytest.mark.parametrize(
    ("installed", "hint"),
    [
        ([], f"{install('localagent-connect-aiohttp')}"),
        (["cache-memory", "provider-openai"], f"{install('localagent-connect-aiohttp')}"),
        (["connect-aiohttp"], 'Add "connect-aiohttp" to use = [...]'),
        (["connect-aaa", "connect-fast"], 'Add "connect-fast" to use = [...]'),
        (["connect-aaa"], 'Add "connect-aaa" to use = [...]'),
    ],
)
def test_what_to_do_depends_on_what_is_installed(installed: list[str], hint: str) -> None:
    """What is not there is installed, what is there is made active; plugins of this repository come first."""
    assert missing_role(CONNECT, installed).startswith(hint)
