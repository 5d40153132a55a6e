"""After every error: one clear sentence with what to do, an exit code for scripts, and no traceback."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from localagent_testing import CANARY_KEY, FaultServer

KEEPER = """
    from localagent import Plugin

    class Keeper(Plugin):
        async def __aenter__(self):
            (self.core.folder / "kept").write_text("something")
            return self
"""
BROKEN = "import a_module_that_is_not_there"
DEFECT = """
    from localagent import Plugin, hookimpl

    class Defect(Plugin):
        @hookimpl
        async def pre_request(self, call, request):
            return {}["the prompt"]
"""
SLIPS = """
    from localagent import Plugin

    class Slips(Plugin):
        async def __aexit__(self, *error):
            raise ValueError("secret text")
"""


def one_sentence(result: Any, code: int, *parts: str) -> None:
    """Check how a command ended: with this code, and one line on standard error that holds these parts."""
    assert (result.code, result.out) == (code, ""), result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    assert [part for part in parts if part not in result.err] == []


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('timeot = "5 s"', ("localagent.toml: timeot is unknown", "Did you mean timeout?")),
        ('timeout = "5 parsecs"', ('timeout = "5 parsecs"', "expected a duration")),
        ("timeout = = 5", ("localagent.toml, line 1, column",)),
        ('[providers.wire]\nkeys = ["sk-canary-not-a-reference"]', ('{ env = "NAME" }', "Do not write keys")),
        ('[providers.wire]\nkeys = [{ env = "NO_SUCH_KEY" }]', ("NO_SUCH_KEY is not set", "Set it")),
        ('[providers.x]\ntype = "wired"', ("type wired, which no active plugin brings", 'Did you mean "wire"?')),
    ],
    ids=["name", "value", "syntax", "a key in the file", "a key that is not there", "provider type"],
)
async def test_wrong_settings(shell: Any, text: str, parts: tuple[str, ...]) -> None:
    """File, key, what was expected; never a key."""
    shell.settings(f'use = ["provider-wire"]\n{text}' if text.startswith("[") else text)
    result = await shell.run("ask", "Hi")
    one_sentence(result, 2, *parts)
    assert "canary" not in result.err


async def test_a_settings_file_that_is_not_there(shell: Any) -> None:
    """Named by --config, before or after the command, or by the environment."""
    one_sentence(await shell.run("--config", "no.toml", "ask", "Hi"), 2, "no.toml cannot be read")
    one_sentence(await shell.run("ask", "Hi", "--config", "no.toml"), 2, "no.toml cannot be read")
    shell.environment["LOCALAGENT_CONFIG"] = "no.toml"
    one_sentence(await shell.run("ask", "Hi"), 2, "no.toml, which LOCALAGENT_CONFIG names")


async def test_a_missing_plugin(shell: Any) -> None:
    """The nearest name, or the command that installs it."""
    shell.settings('use = ["provider-wires"]')
    one_sentence(await shell.run("ask", "Hi"), 2, "no plugin named provider-wires", "Did you mean provider-wire?")
    shell.settings('use = ["cache-quantum"]')
    one_sentence(await shell.run("ask", "Hi"), 2, "See: localagent plugins")


async def test_a_broken_plugin_that_was_asked_for(shell: Any) -> None:
    """Named with its distribution and version, what it lacks, and the command that fixes it."""
    shell.plugin("cache-broken", "Broken", BROKEN)
    shell.settings('use = ["cache-broken"]')
    one_sentence(
        await shell.run("ask", "Hi"), 2, "the-cache-broken 1.0", "a_module_that_is_not_there",
        "Upgrade the-cache-broken from where it was installed",
    )  # fmt: skip


async def test_a_broken_plugin_that_nobody_asked_for(shell: Any, says: Any) -> None:
    """A warning of one line; the answer still comes."""
    shell.plugin("cache-broken", "Broken", BROKEN)
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        text = (shell.folder / "localagent.toml").read_text()
        shell.settings("\n".join(line for line in text.splitlines() if not line.startswith("use")))
        result = await shell.run("ask", "Hi")
    assert (result.code, result.out) == (0, "Yes.\n")
    assert result.err.startswith("warning: Plugin cache-broken")
    assert result.err.count("\n") == 1


async def test_a_refused_connection(shell: Any, closed_port: int) -> None:
    """Which server, and what to look at."""
    shell.use(f"http://127.0.0.1:{closed_port}/v1")
    one_sentence(await shell.run("ask", "Hi"), 1, f"127.0.0.1:{closed_port}", "See: localagent doctor")


async def test_a_wrong_key(shell: Any, refuses: Any) -> None:
    """The owner and place of the key; never the key."""
    shell.environment["WIRE_KEY"] = CANARY_KEY
    async with FaultServer(refuses(401, f"Incorrect API key provided: {CANARY_KEY}")) as server:
        shell.settings(f"""
            use = ["connect-aiohttp", "provider-wire"]
            default_model = "wire/m"
            [providers.wire]
            instances = ["{server.url}/v1"]
            keys = [{{ env = "WIRE_KEY" }}]
        """)
        result = await shell.run("ask", "Hi")
    one_sentence(result, 5, "does not accept the key", "Check the key of provider 'wire'")
    assert "canary" not in result.err


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("m", ("no alias named m", "providers are: wire")),
        ("wir/m", ("no provider named wir", "Did you mean wire/m?")),
        ("wire/unknown", ("Check the model's name at provider 'wire'",)),
    ],
)
async def test_an_unknown_model(shell: Any, refuses: Any, model: str, parts: tuple[str, ...]) -> None:
    """Unknown here or there, the exit code is the same."""
    async with FaultServer(refuses(404, "The model does not exist", code="model_not_found")) as server:
        shell.use(server.url + "/v1")
        one_sentence(await shell.run("ask", "-m", model, "Hi"), 4, *parts)


async def test_no_model_at_all(shell: Any) -> None:
    """Without settings, keys and a built-in model there is nothing to ask; the sentence says where to begin."""
    shell.settings("use = []")
    one_sentence(await shell.run("ask", "Hi"), 4, "no default", "to use = [...]")


async def test_a_limit_of_the_provider(shell: Any, refuses: Any) -> None:
    """Scripts can see that a later attempt may succeed."""
    async with FaultServer(refuses(429, "Slow down")) as server:
        shell.use(server.url + "/v1")
        one_sentence(await shell.run("ask", "Hi"), 3, "asks for fewer requests")


async def test_a_prompt_that_is_too_long(shell: Any, refuses: Any) -> None:
    """Asking again does not help, asking for less does."""
    async with FaultServer(refuses(400, "too long", code="context_length_exceeded")) as server:
        shell.use(server.url + "/v1")
        one_sentence(await shell.run("ask", "Hi"), 6, "Shorten the conversation")


async def test_time_is_up(shell: Any) -> None:
    """--timeout bounds the whole call."""
    async with FaultServer(()) as server:
        shell.use(server.url + "/v1")
        one_sentence(await shell.run("ask", "--timeout", "200 ms", "Hi"), 1, "timeout expired", "Pass a longer timeout")


async def test_a_state_folder_that_cannot_be_made(shell: Any) -> None:
    """As on a full disk: which folder, why, and what to do."""
    shell.plugin("limit-keeper", "Keeper", KEEPER)
    (shell.folder / "file").touch()
    shell.use("http://127.0.0.1:9/v1", plugins=("limit-keeper",), more='state_folder = "file/below"')
    one_sentence(
        await shell.run("ask", "Hi"), 2, "file/below", "cannot be created", "Free some space, or set state_folder"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_behind_standard_output(shell: Any, says: Any) -> None:
    """What was asked cannot be kept: that is a failure, with its reason."""
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            result = await shell.run("ask", "Hi", stdout=full)
        finally:
            os.close(full)
    one_sentence(result, 1, "standard output cannot be used: No space left on device. Free some space.")


async def test_a_defect_in_a_plugin(shell: Any) -> None:
    """The plugin and the hook are named; what its exception says stays hidden, it may quote anything."""
    shell.plugin("request-defect", "Defect", DEFECT)
    shell.use("http://127.0.0.1:9/v1", plugins=("request-defect",))
    result = await shell.run("ask", "Hi")
    one_sentence(result, 1, "Plugin request-defect failed in pre_request: KeyError", "--debug")
    assert "the prompt" not in result.err


async def test_a_defect_that_nobody_translates(shell: Any, says: Any) -> None:
    """Even then it is one sentence, with the module's name."""
    shell.plugin("request-slips", "Slips", SLIPS)
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1", plugins=("request-slips",))
        result = await shell.run("ask", "Hi")
    assert (result.code, result.out) == (1, "Yes.\n")
    assert result.err == "error: A bug in request_slips: ValueError. --debug shows the traceback.\n"


async def test_debug_shows_the_traceback(shell: Any, closed_port: int) -> None:
    """And the sentence below it."""
    shell.use(f"http://127.0.0.1:{closed_port}/v1")
    result = await shell.run("ask", "--debug", "Hi")
    assert result.code == 1
    assert "Traceback (most recent call last)" in result.err
    assert result.err.splitlines()[-1].startswith("error: ")


async def test_an_unknown_command(shell: Any) -> None:
    """With the nearest that there is."""
    one_sentence(await shell.run("modles"), 2, "There is no command modles. Did you mean models?")


async def test_closed_standard_streams(shell: Any, says: Any) -> None:
    """A command that was started without standard input and output ends as it would with them."""
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        script = 'exec "$0" -m localagent_cli ask Hi <&- >&- 2>&-'
        process = await shell.start_program("/bin/sh", "-c", script, sys.executable)
        assert await process.wait() == 0
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ('[providers.mine]\ntype = "wier"', ("ask", "Hi"), 'Did you mean "wire"?'),
        ("[providers.wier]", ("models",), 'Did you mean "wire"?'),
        ("[providers.wier]", ("config", "check"), 'Did you mean "wire"?'),
        ('[providers.mine]\ntype = "opnai"', ("ask", "Hi"), 'Did you mean "openai"?'),
        ("", ("seve",), "Did you mean serve?"),
        ("", ("quantum",), "There is no command quantum."),
    ],
)
async def test_a_typo_never_becomes_an_install_command_for_it(
    shell: Any, settings: str, arguments: tuple[str, ...], said: str
) -> None:
    """It gets the nearest right name."""
    shell.settings(f'use = ["provider-wire"]\n{settings}')
    result = await shell.run(*arguments)
    assert result.code == 2
    assert said in result.err
    for word in ("wier", "opnai", "seve", "quantum"):
        assert f"localagent-{word}" not in result.err
        assert f"provider-{word}" not in result.err


async def test_a_mistyped_plugin_never_becomes_an_install_command(shell: Any) -> None:
    """In ``use``, and where a table or an order names one."""
    shell.settings('use = ["provider-wier"]')
    one_sentence(await shell.run("ask", "Hi"), 2, "There is no plugin named provider-wier. Did you mean provider-wire?")
    shell.settings('use = ["provider-wire"]\n[plugins.provider-wier]\n[order]\npre_request = ["request-quantum"]')
    out = (await shell.run("doctor", "--timeout", "100 ms")).out
    assert "Did you mean provider-wire?" in out
    assert "install localagent-request-quantum" not in out


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LOCALAGENT_PROCESSES", "many", 'LOCALAGENT_PROCESSES = "many": expected a whole number'),
        ("LOCALAGENT_SHARED", "{", 'LOCALAGENT_SHARED = "{": expected a JSON object'),
        ("LOCALAGENT_CONFIG", "/", "/, which LOCALAGENT_CONFIG names, is a folder."),
        (
            "LOCALAGENT_PLUGINS",
            "provider-wier",
            "LOCALAGENT_PLUGINS: There is no plugin named provider-wier. Did you mean",
        ),
    ],
)
async def test_a_wrong_variable(shell: Any, variable: str, value: str, said: str) -> None:
    """Its name, its value, what was expected."""
    shell.use("http://127.0.0.1:9/v1")
    shell.environment[variable] = value
    one_sentence(await shell.run("ask", "Hi"), 2, said)


@pytest.mark.parametrize("more", [{}, {"COMP_WORDS": "localagent", "COMP_CWORD": "x"}], ids=["alone", "no number"])
async def test_completion_without_a_shell(shell: Any, more: dict[str, str]) -> None:
    """One sentence, and no traceback."""
    shell.environment |= {"_LOCALAGENT_COMPLETE": "bash_complete", **more}
    result = await shell.run("ask")
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "unset _LOCALAGENT_COMPLETE" in result.err


@pytest.mark.parametrize("columns", ["0", "²", "many"])
async def test_an_odd_width(shell: Any, columns: str) -> None:
    """A table is still drawn."""
    three = "\n".join(f'{name} = ["wire/{name}"]' for name in ("one", "two", "three"))
    shell.use("http://127.0.0.1:9/v1", more=f"[models]\n{three}")
    shell.environment["COLUMNS"] = columns
    async with shell.screen("--no-color", "models", "--timeout", "100 ms") as screen:
        await screen.ends()
    assert "three" in screen.text
    assert "defect" not in screen.text
