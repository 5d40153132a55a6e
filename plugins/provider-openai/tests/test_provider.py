"""What provider-openai adds to the protocol: where instances, keys and headers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from localagent import Client
from localagent.errors import SettingsError
from localagent.records import PoolProfile
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_openai import OpenAIPlugin
from localagent_provider_openai.plugin import OPENAI_POOL, pool
from localagent_testing import FaultServer, ReadRequest, Repeat, Send, answer

GOOD = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
WELL = (Repeat((ReadRequest(), Send(answer(200, GOOD)))),)


def client(providers: Mapping[str, Any], environment: Mapping[str, str] | None = None, model: str = "mine/m") -> Client:
    settings = {"default_model": model, "providers": providers}
    return Client(settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin], environment=environment or {})


async def ids(made: Client) -> list[str]:
    async with made:
        return [instance.id for instance in (await made.runtime()).instances]


async def test_the_key_in_the_environment_is_enough_for_openai() -> None:
    """With OPENAI_API_KEY and no settings there is a provider named openai at OpenAI's address."""
    async with Client(
        {}, plugins=[AiohttpConnectPlugin, OpenAIPlugin], environment={"OPENAI_API_KEY": "a-key"}
    ) as made:
        (instance,) = (await made.runtime()).instances
    assert (instance.provider, instance.url) == ("openai", "https://api.openai.com/v1")


async def test_without_key_and_settings_there_is_no_provider() -> None:
    """Nothing is asked that nobody named."""
    assert await ids(Client({}, plugins=[AiohttpConnectPlugin, OpenAIPlugin], environment={})) == []


async def test_every_address_with_every_key_is_an_instance() -> None:
    """Two addresses and two keys make four instances with names that tell them apart."""
    provider = {"type": "openai", "instances": ["http://a:1/v1", "http://b:2/v1"], "keys": [{"env": "A"}, {"env": "B"}]}
    assert await ids(client({"mine": provider}, {"A": "a", "B": "b"})) == [
        "mine@a:1#1", "mine@a:1#2", "mine@b:2#1", "mine@b:2#2",
    ]  # fmt: skip


async def test_a_key_that_is_not_there_is_named() -> None:
    """The error says which provider and which variable."""
    async with client({"mine": {"type": "openai", "keys": [{"env": "NOT_THERE"}]}}) as made:
        with pytest.raises(SettingsError, match=r"(?s)mine.*NOT_THERE"):
            await made.chat("Hello.", model="mine/m")


async def test_headers_come_from_the_settings() -> None:
    """Organisation, project, further headers and the key go with every request."""
    async with FaultServer(WELL) as server:
        provider = {
            "type": "openai", "instances": [server.url + "/v1"], "keys": [{"env": "KEY"}],
            "organization": "org-1", "project": "proj-1", "headers": {"X-Team": "search"},
        }  # fmt: skip
        async with client({"mine": provider}, {"KEY": "a-key"}) as made:
            await made.chat("Hello.")
        sent = {name.lower(): value for name, value in server.requests[0].headers}
    assert sent["openai-organization"] == "org-1"
    assert sent["openai-project"] == "proj-1"
    assert sent["x-team"] == "search"
    assert sent["authorization"] == "Bearer a-key"


@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key", "headers", "extra_headers"])
async def test_no_field_of_a_request_chooses_address_key_or_header(field: str) -> None:
    """Such fields travel as plain JSON, to the configured place, with the configured key."""
    async with FaultServer(WELL) as server:
        provider = {"type": "openai", "instances": [server.url + "/v1"], "keys": [{"env": "KEY"}]}
        async with client({"mine": provider}, {"KEY": "a-key"}) as made:
            await made.chat("Hello.", **{field: {"Authorization": "Bearer other"}})
        request = server.requests[0]
    assert dict(request.headers)["Authorization"] == "Bearer a-key"
    assert field.encode() in request.body


async def test_several_servers_of_the_type_are_told_apart() -> None:
    """Two providers of one type, each with its name."""
    async with FaultServer(WELL) as one, FaultServer(WELL) as other:
        providers = {
            "one": {"type": "openai", "instances": [one.url + "/v1"]},
            "other": {"type": "openai", "instances": [other.url + "/v1"]},
        }
        async with client(providers, model="one/m") as made:
            assert (await made.chat("Hello.")).model == "one/m"
            assert (await made.chat("Hello.", model="other/m")).model == "other/m"
        assert (len(one.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], OPENAI_POOL),
        (["https://api.openai.com/v1"], OPENAI_POOL),
        (["http://10.0.0.5:8000/v1"], PoolProfile()),
        (["https://api.openai.com/v1", "http://10.0.0.5:8000/v1"], PoolProfile()),
        (["https://api.openai.com.example/v1"], PoolProfile()),
    ],
)
def test_connections_are_kept_longer_where_all_servers_are_openais_own(
    addresses: list[str], expected: PoolProfile
) -> None:
    """The protocol is spoken by many servers that close idle connections after 5 s and bear more of them."""
    assert pool(addresses) == expected
    assert (OPENAI_POOL.limit, OPENAI_POOL.keepalive) == (50, 30.0)


async def test_what_the_settings_choose_wins_over_the_types_profile() -> None:
    """Field by field."""
    settings = {"providers": {"openai": {"keys": [{"env": "KEY"}], "pool": {"limit": 7}}}}
    async with Client(settings, plugins=[OpenAIPlugin], environment={"KEY": "any"}) as made:
        (instance,) = (await made.runtime()).instances
    assert instance.pool == PoolProfile(limit=7, keepalive=30.0)
