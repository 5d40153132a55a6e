"""Commands when the key of one provider is missing: each works for the others, and reports it once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localagent_testing import FaultServer, ReadRequest, Send, answer
from localagent_testing.faults.dialects import DIALECTS

OPENAI = DIALECTS["openai"]
MODELS = (ReadRequest(), Send(answer(200, {"object": "list", "data": [{"id": "m"}]})))
SAID = (
    "Provider gone is left out: localagent.toml: providers.gone.keys[0]: the environment variable NOT_THERE is not set"
)


def settings(shell: Any, url: str) -> None:
    """Write settings like the README's sample: an alias over providers, one of which lacks its key."""
    shell.settings(f"""
        use = ["connect-aiohttp", "provider-wire"]
        default_model = "fast"
        [models]
        fast = ["gone/m", "there/m"]
        [providers.there]
        type = "wire"
        instances = ["{url}"]
        [providers.gone]
        type = "wire"
        keys = [{{ env = "NOT_THERE" }}]
    """)


async def test_ask_and_chat_answer(shell: Any, says: Any) -> None:
    """By name without a word; through the alias with one warning; and only who asks for it gets the error."""
    async with FaultServer(says("Red.")) as server:
        settings(shell, server.url)
        named = await shell.run("ask", "--model", "there/m", "Hi")
        assert (named.code, named.out, named.err) == (0, "Red.\n", "")
        default = await shell.run("ask", "Hi")
        assert (default.code, default.out, default.err.count(SAID), default.err.count("\n")) == (0, "Red.\n", 1, 1)
        chat = await shell.run("chat", "-m", "there/m", stdin=b"Hi\n")
        assert (chat.code, chat.out, chat.err) == (0, "Red.\n", "")
    asked = await shell.run("ask", "--model", "gone/m", "Hi")
    assert (asked.code, asked.out, asked.err.count("\n")) == (2, "", 1)
    assert asked.err.startswith(f"error: {SAID}")
    assert "Set it" in asked.err


async def test_overviews_tell_it_once(shell: Any) -> None:
    """models and doctor list the others; plugins, explain and config work."""
    async with FaultServer(MODELS) as server:
        settings(shell, server.url)
        models = await shell.run("models")
        assert (models.code, models.out.splitlines()[1].split("\t")[0]) == (0, "there/m")
        assert (models.err.count(SAID), models.err.count("warning")) == (1, 1)
        doctor = await shell.run("doctor", "--json")
        (found,) = [one for one in json.loads(doctor.out)["findings"] if one["subject"] == "provider gone"]
        assert (doctor.code, found["level"], doctor.err) == (0, "warn", "")
        assert found["text"].startswith(SAID)
    only = await shell.run("models", "--provider", "gone")
    assert (only.code, only.err.count(SAID)) == (2, 1)
    for arguments in (("plugins",), ("config", "check")):
        result = await shell.run(*arguments)
        assert (result.code, result.err.count(SAID), result.err.count("\n")) == (0, 1, 1), arguments
    for arguments in (("explain",), ("config", "show")):
        result = await shell.run(*arguments)
        assert (result.code, result.err) == (0, ""), arguments


@pytest.mark.parametrize("command", ["models", "doctor", "ask"])
async def test_alone_it_is_what_the_command_says(shell: Any, command: str) -> None:
    """Not that a provider should be installed."""
    shell.settings('use = ["provider-wire"]\n[providers.gone]\ntype = "wire"\nkeys = [{ env = "NOT_THERE" }]')
    result = await shell.run(command, *(["Hi"] if command == "ask" else []))
    assert result.code != 0
    assert SAID in result.out + result.err
    assert "nstall" not in result.out + result.err
