"""Which transport carries the requests: the default one only where no other plugin brings one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from combo_parts import localagent

from localagent import Client
from localagent.errors import PluginError
from localagent.pipeline import assemble
from localagent.records import Pooled
from localagent_connect_aiohttp import AiohttpTransport
from localagent_connect_fast import FastTransport
from localagent_testing import FaultServer, ReadRequest, Repeat, Send, answer

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
BOTH = ("connect-aiohttp", "connect-fast")


def settings(url: str, *connect: str, **more: Any) -> dict[str, Any]:
    """Return settings of a provider, with these plugins beside it."""
    provider = {"type": "openai", "instances": [f"{url}/v1"]}
    return {"use": [*connect, "provider-openai"], "providers": {"up": provider}, "default_model": "up/m", **more}


@pytest.mark.parametrize(
    ("connect", "more", "kind"),
    [
        (BOTH, {}, FastTransport),
        (BOTH[::-1], {}, FastTransport),
        (("connect-fast",), {}, FastTransport),
        (("connect-aiohttp",), {}, AiohttpTransport),
        (BOTH, {"plugins": {"connect-fast": {"leave": ["up"]}}}, AiohttpTransport),
    ],
)
async def test_the_default_transport_carries_what_no_other_does(
    connect: tuple[str, ...], more: dict[str, Any], kind: type
) -> None:
    """No setting is needed, no matter which is named first; it takes the instances that the other plugin leaves."""
    async with (
        FaultServer((Repeat((ReadRequest(), Send(answer(200, ANSWER)))),)) as server,
        Client(settings(server.url, *connect, **more), environment={}) as client,
    ):
        assert (await client.chat("Hello.")).text == "Hi."
        runtime = await client.runtime()
        (instance,) = runtime.instances
        assert type(await runtime.fleet.connections.to(instance)) is kind


@pytest.mark.parametrize("connect", BOTH)
async def test_each_transport_keeps_to_the_profile_of_the_providers_type(connect: str) -> None:
    """The type's limit, unless the provider's own settings choose another."""
    providers = {
        "openai": {"keys": [{"env": "KEY"}]},
        "many": {"type": "openai", "instances": ["http://a.test/v1"], "pool": {"limit": 7}},
        "ollama": {},
    }
    given = {"use": [connect, "provider-openai", "provider-ollama"], "providers": providers}
    async with Client(given, environment={"KEY": "any"}) as client:
        runtime = await client.runtime()
        limits = {}
        for instance in runtime.instances:
            transport = await runtime.fleet.connections.to(instance)
            assert isinstance(transport, Pooled)
            limits[instance.provider] = (instance.pool.keepalive, transport.stats().limit)
    assert limits == {"openai": (30.0, 50), "many": (4.0, 7), "ollama": (60.0, 10)}


async def test_explain_shows_the_order(tmp_path: Path) -> None:
    """With the reason for the last place."""
    path = tmp_path / "localagent.toml"
    path.write_text(f"use = {[*BOTH, 'provider-openai']}\n")
    code, reported = await localagent(path, "explain")
    lines = [" ".join(line.split()) for line in reported.splitlines() if "connect-" in line]
    assert (code, lines) == (
        0, ["connect 1. connect-fast by name", "2. connect-aiohttp connect-aiohttp must run after *"]
    ), reported  # fmt: skip


def test_settings_cannot_put_it_anywhere_else() -> None:
    """Settings that want it first must leave the other plugin out."""
    given = settings("http://a.test", *BOTH, order={"connect": list(BOTH)})
    with pytest.raises(PluginError, match=r"connect-aiohttp must run after \*"):
        assemble(given, None, {})
    given["order"] = {"connect": list(BOTH[::-1])}
    assert [step.plugin for step in assemble(given, None, {})[1].steps["connect"]] == list(BOTH[::-1])
