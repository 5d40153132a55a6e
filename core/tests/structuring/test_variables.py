"""Environment variables that hold something else than expected: one error with name, value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localagent import Client, LocalAgentError, Plugin, ProviderType, hookimpl
from localagent.errors import PluginError, SettingsError
from localagent.plugin_api.plugin import NoSettings
from localagent.settings import find_settings, wrong_variable
from localagent.structuring.place import read_count
from localagent_testing import CANARY_KEY, Canaries, fake_provider_plugin

COUNT = "expected a whole number of at least 1"


async def refusal(environment: dict[str, str], *plugins: type[Plugin]) -> LocalAgentError:
    with pytest.raises(LocalAgentError) as caught:
        async with Client({}, plugins=[fake_provider_plugin(), *plugins], environment=environment):
            pass
    return caught.value


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "1e3", "²", "٣", "0x10", "9" * 5000, "one two", "None"])
async def test_a_number_that_is_none_is_one_error(value: str) -> None:
    """Whatever is wrong with it; a long value is not repeated."""
    error = await refusal({"LOCALAGENT_PROCESSES": value})
    assert isinstance(error, SettingsError)
    assert "LOCALAGENT_PROCESSES" in error.message
    assert COUNT in error.message
    assert len(error.message) < 200
    assert error.hint == "Correct LOCALAGENT_PROCESSES, or unset it."


@pytest.mark.parametrize("value", ["{", "[]", '{"a": 1}', "null", "true", "[" * 5000, '"text"'])
async def test_a_document_that_is_none_is_one_error(value: str) -> None:
    """Also one that is not JSON, or nested too deeply."""
    error = await refusal({"LOCALAGENT_SHARED": value})
    assert isinstance(error, SettingsError)
    assert "LOCALAGENT_SHARED" in error.message
    assert "expected a JSON object" in error.message
    assert error.__context__ is None


@pytest.mark.parametrize(
    "name", ["LOCALAGENT_PROCESSES", "LOCALAGENT_SHARED", "LOCALAGENT_PLUGINS", "LOCALAGENT_CONFIG"]
)
async def test_an_empty_variable_counts_as_none(name: str) -> None:
    """As everywhere."""
    async with Client({}, plugins=[fake_provider_plugin()], environment={name: ""}) as client:
        assert (await client.runtime()).processes == 1


def test_numbers_are_read() -> None:
    """With white space around them."""
    assert (read_count({"N": " 12 "}, "N", 1), read_count({}, "N", 3), read_count({"N": " "}, "N", 3)) == (12, 3, 3)


@pytest.mark.parametrize("value", [CANARY_KEY, f"http://me:{CANARY_KEY}@host", "http://me:short@host"])
def test_a_value_that_may_be_a_secret_is_not_shown(value: str, canaries: Canaries) -> None:
    """A key in the wrong variable, or a password in an address."""
    error = wrong_variable("SOME_ADDRESS", value, "an address")
    canaries.watch(error)
    assert "short" not in str(error)
    assert "SOME_ADDRESS: expected an address" in error.message


def test_a_path_that_is_no_file_is_one_error(tmp_path: Path) -> None:
    """A folder, nothing, below a file, too long, in a home that nobody knows: with the variable's name."""
    (tmp_path / "file").touch()
    for path in (
        str(tmp_path),
        str(tmp_path / "gone"),
        str(tmp_path / "file" / "x"),
        "x" * 5000,
        "~no-such-user/x",
        "\0",
    ):
        with pytest.raises(SettingsError, match="LOCALAGENT_CONFIG"):
            find_settings(None, {"LOCALAGENT_CONFIG": path})


async def test_a_type_that_fails_to_read_the_environment_is_named() -> None:
    """The plugin's own exception does not reach the user raw."""

    class Odd(Plugin):
        name = "provider-odd"

        @hookimpl
        def provide(self) -> list[ProviderType]:
            def default(environment: Any) -> Any:
                return int(environment["ODD"])

            def make(setup: Any) -> Any:
                raise AssertionError

            return [ProviderType("odd", NoSettings, make, default=default)]

    error = await refusal({"ODD": "one"}, Odd)
    assert isinstance(error, PluginError)
    assert error.message == "Provider type odd failed to read the environment: ValueError."
