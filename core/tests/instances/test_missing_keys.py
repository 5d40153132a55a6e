"""Keys that are not there: their provider goes on with the others or is left out, and breaks nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent import Client, Plugin, ProviderSetup, ProviderType, Secret, hookimpl
from localagent.errors import SettingsError
from localagent.structuring.secrets import SecretRef
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_testing import FaultServer, ReadRequest, Send, WirePlugin, answer
from localagent_testing.faults.dialects import DIALECTS

OPENAI = DIALECTS["openai"]
ANSWERS = (ReadRequest(), Send(answer(200, OPENAI.completion("Red."))))
UNSET = {"env": "NOT_THERE"}


@attrs.frozen
class TokenSettings:
    """Settings of a type with a key of its own."""

    token: SecretRef


class TokenPlugin(Plugin):
    """Brings a provider type that reads its own key."""

    name = "provider-token"

    @hookimpl
    def provide(self) -> list[ProviderType]:
        def make(setup: ProviderSetup) -> Any:
            return setup.settings.token.read(setup.environment)

        return [ProviderType("token", TokenSettings, make)]


def client(url: str, lacking: dict[str, Any], environment: dict[str, str] | None = None, **settings: Any) -> Client:
    """A client with the providers ``there``, which answers, and ``gone``, which lacks something."""
    providers = {
        "gone": {"type": "wire", "instances": [url], **lacking},
        "there": {"type": "wire", "instances": [url]},
    }
    settings = {"providers": providers, "health": {"enabled": False}, **settings}
    return Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin, TokenPlugin], environment=environment or {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files that hold no key."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "two-words").write_text("a key")
    monkeypatch.chdir(tmp_path)
    return tmp_path


LACKING: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "unset": ({"keys": [UNSET]}, {}, "the environment variable NOT_THERE is not set or empty"),
    "empty": ({"keys": [UNSET]}, {"NOT_THERE": ""}, "NOT_THERE is not set or empty"),
    "blank": ({"keys": [UNSET]}, {"NOT_THERE": " \t"}, "NOT_THERE is not set or empty"),
    "no key": ({"keys": [UNSET]}, {"NOT_THERE": "a key"}, "NOT_THERE contains characters that are not allowed"),
    "all of two": ({"keys": [UNSET, {"env": "NOR_THIS"}]}, {}, "NOT_THERE is not set"),
    "header": ({"headers": {"X-Auth": UNSET}}, {}, "NOT_THERE is not set"),
    "header beside a key": ({"keys": [{"env": "A"}], "headers": {"X": UNSET}}, {"A": "k"}, "NOT_THERE is not set"),
    "key of the type": ({"type": "token", "token": UNSET}, {}, "NOT_THERE is not set"),
    **{
        f"file {name}": ({"keys": [{"file": name}]}, {}, f"the file {name}")
        for name in ("missing", "empty", "binary", "two-words", ".", "empty/x")
    },
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("lacking", "environment", "why"), LACKING.values(), ids=LACKING)
async def test_a_provider_without_its_keys_is_left_out(
    lacking: dict[str, Any], environment: dict[str, str], why: str
) -> None:
    """The others answer; anyone who asks for it reads provider, variable or file, and what to do."""
    async with FaultServer(ANSWERS) as server, client(server.url, lacking, environment) as made:
        assert (await made.chat("Hello.", model="there/m")).text == "Red."
        with pytest.raises(SettingsError) as caught:
            await made.chat("Hello.", model="gone/m")
        assert caught.value.message.startswith("Provider gone is left out: ")
        assert why in caught.value.message
        assert caught.value.hint
        with pytest.raises(SettingsError) as again:
            async with made.stream("Hello.", model="gone/m") as stream:
                await stream.text()
        assert again.value is not caught.value
        assert [instance.provider for instance in (await made.runtime()).instances] == ["there"]


async def test_of_several_keys_those_that_are_there_are_used() -> None:
    """Each keeps its number; the missing one is reported."""
    keys = {"keys": [{"env": "ONE"}, UNSET, {"env": "THREE"}]}
    async with FaultServer(ANSWERS) as server, client(server.url, keys, {"ONE": "1", "THREE": "3"}) as made:
        runtime = await made.runtime()
        ids = [instance.id for instance in runtime.instances if instance.provider == "gone"]
        assert [ident.partition("#")[2] for ident in ids] == ["1", "3"]
        assert (await made.chat("Hello.", model="gone/m")).text == "Red."
        assert dict(server.requests[0].headers)["Authorization"] == "Bearer 1"
        missing = runtime.fleet.registry.missing["gone"]
        assert (missing.left_out, "without 1 of its 3 keys" in missing.error.message) == (False, True)


async def test_an_alias_skips_a_provider_that_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """The next target answers, and one warning says why; without any other target it is an error."""
    models = {"fast": ["gone/m", "there/m"], "only": ["gone/a", "gone/b"]}
    async with FaultServer(ANSWERS) as server, client(server.url, {"keys": [UNSET]}, models=models) as made:
        for _ in range(3):
            response = await made.chat("Hello.", model="fast")
            assert (response.text, response.model) == ("Red.", "there/m")
        with pytest.raises(SettingsError, match="NOT_THERE"):
            await made.chat("Hello.", model="only")
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "Provider gone is left out" in warnings[0]


@pytest.mark.parametrize("default", [{}, {"default_model": "gone/m"}], ids=["no default", "a default"])
async def test_alone_it_is_the_error_of_a_request_that_names_no_model(default: dict[str, str]) -> None:
    """Opening is not an error: nothing was asked yet."""
    settings = {"providers": {"gone": {"type": "wire", "keys": [UNSET]}}, "health": {"enabled": False}, **default}
    async with Client(settings, plugins=[AiohttpConnectPlugin, WirePlugin], environment={}) as made:
        with pytest.raises(SettingsError, match="NOT_THERE"):
            await made.chat("Hello.")
        assert await made.models() == []


async def test_a_key_that_is_there_after_a_reload_is_used() -> None:
    """The new client reads it; the old one goes on without."""
    environment: dict[str, str] = {}
    async with FaultServer(ANSWERS) as server, client(server.url, {"keys": [UNSET]}, environment) as old:
        with pytest.raises(SettingsError):
            await old.chat("Hello.", model="gone/m")
        providers = {"gone": {"type": "wire", "instances": [server.url], "keys": [{"env": "NOW"}]}}
        settings = {"providers": providers, "health": {"enabled": False}}
        async with Client(
            settings, plugins=[AiohttpConnectPlugin, WirePlugin], environment={"NOW": "k"}, replaces=old
        ) as new:
            assert (await new.chat("Hello.", model="gone/m")).text == "Red."


async def test_wrong_settings_are_still_refused() -> None:
    """What a program passes as no key at all is a mistake, and not a key that is missing."""
    for wrong in ({"keys": ["text"]}, {"keys": [{"env": "A", "file": "b"}]}, {"kees": []}):
        with pytest.raises(SettingsError):
            async with client("http://127.0.0.1:9", wrong):
                pass
    async with client("http://127.0.0.1:9", {"keys": [Secret("given")]}) as made:
        assert len(list((await made.runtime()).instances)) == 2
