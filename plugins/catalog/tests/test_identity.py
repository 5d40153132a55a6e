"""Whose list a kept list is, and that one which was heard is kept, also by a client that closes at once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from localagent import Attempt, Client, ModelInfo, Plugin, Retry, Secret, hookimpl
from localagent.errors import ModelNotFound
from localagent_catalog import CatalogPlugin
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import FaultServer, ReadRequest, Reply, Send, WirePlugin, answer, fake_provider_plugin

LISTS = (ReadRequest(), Send(answer(200, {"data": [{"id": "m"}]})))
ONE_KEY = {"keys": [{"env": "FIRST"}]}


def keys(*values: str) -> dict[str, Any]:
    return {"keys": [Secret(value) for value in values]}


async def asked(server: FaultServer, folder: Path, provider: dict[str, Any], environment: dict[str, str]) -> int:
    """List the models as a new process would; return how many requests that cost."""
    name = provider.pop("as", "up")
    settings = {
        "state_folder": folder,
        "providers": {name: {"type": "wire", "instances": [server.url], **provider}},
        "health": {"enabled": False},
    }
    before = len(server.requests)
    async with Client(
        settings, plugins=[AiohttpConnectPlugin, WirePlugin, CatalogPlugin], environment=environment
    ) as client:
        assert {model.id for model in await client.models()} == {"m"}
    return len(server.requests) - before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (keys("first-key"), keys("second-key")),
        (keys("first-key", "second-key"), keys("second-key", "first-key")),
        (keys("first-key"), {}),
        ({}, {"headers": {"X-Project": "two"}}),
        ({"headers": {"X-Project": "one"}}, {"headers": {"X-Project": "two"}}),
        ({"headers": {"X-Key": Secret("one")}}, {"headers": {"X-Key": Secret("two")}}),
        ({"headers": {"OpenAI-Organization": "one"}}, {"headers": {"OpenAI-Organization": "two"}}),
        ({}, {"as": "renamed"}),
    ],
    ids=["key", "order of keys", "no key", "header", "value of a header", "secret header", "organization", "name"],
)
async def test_changed_settings_get_no_old_list(tmp_path: Path, before: Any, after: Any) -> None:
    """What decides the server's answer belongs to the list; the same settings again cost no request."""
    async with FaultServer(LISTS) as server:
        assert await asked(server, tmp_path, dict(before), {}) > 0
        assert await asked(server, tmp_path, dict(before), {}) == 0
        assert await asked(server, tmp_path, dict(after), {}) > 0
        assert await asked(server, tmp_path, dict(before), {}) == 0
    held = b"".join(path.read_bytes() + path.name.encode() for path in sorted(tmp_path.rglob("*.json")))  # noqa: ASYNC240 - a test has time
    assert b"-key" not in held


async def test_a_variable_that_changed_is_another_key(tmp_path: Path) -> None:
    """The key counts, not its place: the same key from elsewhere is the same."""
    async with FaultServer(LISTS) as server:
        assert await asked(server, tmp_path, dict(ONE_KEY), {"FIRST": "one"}) == 1
        assert await asked(server, tmp_path, dict(ONE_KEY), {"FIRST": "two"}) == 1
        assert await asked(server, tmp_path, {"keys": [{"env": "OTHER"}]}, {"OTHER": "one"}) == 0


async def test_two_keys_of_one_address_have_a_list_each(tmp_path: Path) -> None:
    """Each key may see other models."""
    async with FaultServer(LISTS) as server:
        assert await asked(server, tmp_path, keys("one", "two"), {}) == 2
        assert await asked(server, tmp_path, keys("one", "two"), {}) == 0
        assert await asked(server, tmp_path, keys("one", "three"), {}) == 1


async def test_a_reload_with_another_key_asks_at_once(tmp_path: Path) -> None:
    """The plugin lives on in the new client, and what it knows belongs to the old key."""
    async with FaultServer(LISTS) as server:

        def settings(key: str) -> dict[str, Any]:
            provider = {"type": "wire", "instances": [server.url], **keys(key)}
            return {"state_folder": tmp_path, "providers": {"up": provider}, "health": {"enabled": False}}

        plugins = [AiohttpConnectPlugin, WirePlugin, CatalogPlugin]
        async with Client(settings("one"), plugins=plugins, environment={}) as old:
            await old.models()
            async with Client(settings("two"), plugins=plugins, environment={}, replaces=old) as new:
                await new.models()
                await new.models()
        sent = [dict(request.headers)["Authorization"] for request in server.requests]
        assert sent == ["Bearer one", "Bearer two"]


class Next(Plugin):
    """Goes on to the next target."""

    name = "failure-next"

    @hookimpl
    async def on_failure(self, attempt: Attempt) -> Retry | None:
        return Retry("next")


@pytest.mark.virtual
@pytest.mark.parametrize("alias", [False, True], ids=["alone", "another answers"])
async def test_a_refreshed_list_is_kept_when_the_client_closes_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, alias: bool
) -> None:
    """As a command does whose model is not found: nothing is dropped, and the next process has the new list."""
    caplog.set_level(logging.WARNING)
    settings: dict[str, Any] = {"state_folder": tmp_path, "models": {"any": ["fake/gone", "fake/m"]}}

    def provider(*models: str) -> Any:
        def chosen(attempt: Any) -> Reply | Exception:
            return ModelNotFound("no such model") if attempt.target.model == "gone" else Reply("ok")

        return fake_provider_plugin(chosen, models=models)

    async with Client(settings, plugins=[provider("gone", "m"), CatalogPlugin], environment={}) as client:
        assert len(await client.models()) == 2
    async with Client(settings, plugins=[provider("m", "new"), CatalogPlugin, Next], environment={}) as client:
        runtime = await client.runtime()
        if alias:
            await client.chat("Hi", model="any")
        else:
            with pytest.raises(ModelNotFound):
                await client.chat("Hi", model="fake/gone")
    assert runtime.background.dropped == 0
    assert caplog.text == ""
    async with Client(settings, plugins=[provider("unasked"), CatalogPlugin], environment={}) as client:
        assert [model.id for model in await client.models()] == ["m", "new"]


def test_a_list_belongs_to_one_identity() -> None:
    """Model lists hold names only; a fingerprint is never shown with an instance."""
    assert "fingerprint" not in ModelInfo.__struct_fields__
