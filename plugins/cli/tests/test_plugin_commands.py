"""Commands that plugins bring: listed without an import, imported when they are used, never in the way of others."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from localagent_testing import FaultServer

GREETER = """
    import click
    from localagent import Plugin
    from localagent_cli import current

    async def question(line):
        async with line.client() as client:
            return (await client.chat("Hi")).text

    @click.command("greet")
    @click.option("--name", default="world")
    def greet(name):
        "Say hello. And more."
        line = current()
        line.terminal.line(f"Hello {name}: " + line.run(question(line)))

    ask = greet

    class Greeter(Plugin):
        pass
"""
GROUP = """
    import click
    from localagent_cli import CommandLine, command

    @click.group("tree", help="Grow trees.")
    def tree(): ...

    @command("oak", help="Grow an oak.")
    def oak(line: CommandLine):
        line.terminal.line("An oak.")

    tree.add_command(oak)
"""
LOUD = """
    import sys
    import click
    print("imported", file=sys.stderr)

    @click.command(help="Shout.")
    def shout(): ...
"""
BROKEN = """
    import a_module_that_is_not_there

    @click.command(help="Break.")
    def snap(): ...
"""
REFUSES = """
    from localagent.errors import PluginError

    raise PluginError("It needs another Python.", hint="Upgrade Python.")
"""
STRANGE = """
    strange = "text"
"""


async def test_a_plugins_command_has_the_command_line_at_hand(shell: Any, answers: Any) -> None:
    """Its options, the terminal, a client with the settings, and the loop; errors end it as they end any command."""
    shell.plugin("bench-greeter", "Greeter", GREETER, commands="greet")
    async with FaultServer(answers("nice to meet you")) as server:
        shell.use(server.url + "/v1", plugins=("bench-greeter",))
        result = await shell.run("greet", "--name", "you")
        assert (result.code, result.out) == (0, "Hello you: nice to meet you\n")
    shell.use("http://127.0.0.1:9/v1", plugins=("bench-greeter",))
    result = await shell.run("greet")
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[-1].startswith("error: ")


async def test_a_command_of_an_idle_plugin_runs(shell: Any, answers: Any) -> None:
    """A command is not a step of a request: ``use`` does not select it, and no plugin has to be active for it."""
    shell.plugin("bench-greeter", "Greeter", GREETER, commands="greet")
    async with FaultServer(answers("well")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("greet")
    assert (result.code, result.out, result.err) == (0, "Hello world: well\n", "")
    assert "greet" in listed(await shell.run("--help"))


async def test_wrong_settings_hide_no_command(shell: Any) -> None:
    """It is found, and says what is wrong when it reads them."""
    shell.plugin("bench-greeter", "Greeter", GREETER, commands="greet")
    shell.settings("timeot = 1")
    result = await shell.run("greet")
    assert (result.code, result.out) == (2, "")
    assert "timeot" in result.err
    assert (await shell.run("greet", "--help")).code == 0
    assert "There is no command nothing" in (await shell.run("nothing")).err


async def test_a_name_that_is_taken_is_refused(shell: Any, says: Any) -> None:
    """The built-in command stays; a warning reports the other one when the commands of plugins are read."""
    shell.plugin("bench-greeter", "Greeter", GREETER, commands="greet ask")
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1", plugins=("bench-greeter",))
        result = await shell.run("ask", "Hi")
        assert (result.out, result.err) == ("Yes.\n", "")
    why = "localagent-cli already has a command of that name."
    reported = f"warning: The command ask of the-bench-greeter is ignored: {why}\n"
    for arguments in (("nothing",), ("--help",), ("greet", "--help")):
        assert (await shell.run(*arguments)).err.startswith(reported)
    assert (await shell.run("--help")).out.count("\n  ask ") == 1


async def test_of_two_with_the_same_name_one_is_refused(shell: Any) -> None:
    """Always the same one: the first by the names of the distributions. A shell that completes is not disturbed."""
    shell.plugin("", "", LOUD.replace("Shout", "Whisper"), module="b", commands="shout")
    shell.plugin("", "", LOUD, module="a", commands="shout")
    result = await shell.run("--help")
    why = "the-a already has a command of that name."
    assert result.err == f"warning: The command shout of the-b is ignored: {why}\n"
    assert listed(result)["shout"] == "Shout."
    shell.environment |= {"_LOCALAGENT_COMPLETE": "bash_complete", "COMP_WORDS": "localagent sh", "COMP_CWORD": "1"}
    result = await shell.run()
    assert (result.out, result.err) == ("plain,shout\n", "")


LISTS = [(), ("--help",), ("-h",), ("help",)]


@pytest.mark.parametrize(
    "arguments",
    [*LISTS, ("ask", "--help"), ("help", "ask"), ("version",), ("config", "show"), ("plugins",), ("nothing",)],
    ids=" ".join,
)
async def test_a_plugin_is_imported_only_for_its_command(shell: Any, arguments: tuple[str, ...]) -> None:
    """Neither a list of commands nor another command imports it."""
    shell.plugin("", "", LOUD, module="loud", commands="shout")
    result = await shell.run(*arguments)
    assert "imported" not in result.err
    if arguments in LISTS:
        assert listed(result)["shout"] == "Shout."


async def test_its_own_help_imports_it(shell: Any) -> None:
    """The test above can fail."""
    shell.plugin("", "", LOUD, module="loud", commands="shout")
    for arguments in (("shout", "--help"), ("help", "shout"), ("shout",)):
        result = await shell.run(*arguments)
        assert (result.code, result.err) == (0, "imported\n")


async def test_help_shows_the_help_of_a_command(shell: Any) -> None:
    """Of built-in commands, of plugins and of subcommands; the same as after the command."""
    shell.plugin("", "", GROUP, module="trees", commands="tree")
    for words in (("ask",), ("cache", "list"), ("tree",), ("tree", "oak"), ("help",)):
        result = await shell.run("help", *words)
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith(f"Usage: localagent {' '.join(words)} [OPTIONS]")
        for option in ("-h", "--help"):
            assert (await shell.run(*words, option)).out == result.out
    assert (await shell.run("help")).out == (await shell.run("--help")).out == (await shell.run()).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("modles",), "There is no command modles. Did you mean models?"),
        (("ask", "again"), "localagent ask has no subcommands."),
        (("tree", "elm"), "No such command 'elm'"),
        (("snap",), "cannot be imported"),
    ],
)
async def test_help_of_what_is_not_there(shell: Any, words: tuple[str, ...], said: str) -> None:
    """One sentence."""
    shell.plugin("", "", GROUP, module="trees", commands="tree")
    shell.plugin("", "", BROKEN, module="broken", commands="snap")
    result = await shell.run("help", *words)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert said in result.err


async def test_a_plugin_that_fails_does_not_break_the_command_line(shell: Any) -> None:
    """Its command is listed with what can be read; those of others work."""
    shell.plugin("", "", BROKEN, module="broken", commands="snap")
    shell.plugin("", "", "no python", module="worse", commands="crack")
    shell.plugin("", "", GROUP, module="trees", commands="tree")
    result = await shell.run("--help")
    assert (result.code, result.err) == (0, "")
    lines = listed(result)
    assert (lines["snap"], lines["crack"], lines["tree"]) == ("Break.", "A command of the-worse.", "Grow trees.")
    result = await shell.run("tree", "oak")
    assert (result.code, result.out, result.err) == (0, "An oak.\n", "")


@pytest.mark.parametrize(
    ("command", "source", "said"),
    [
        (
            "snap",
            BROKEN,
            "imported: ModuleNotFoundError: No module named 'a_module_that_is_not_there'. Upgrade",
        ),
        ("lost", "", "imported: AttributeError"),
        ("refuse", REFUSES, "imported: It needs another Python. Upgrade Python.\n"),
        ("strange", STRANGE, "used: odd:strange is not a click.Command. Report this to the author of the-odd.\n"),
    ],
)
async def test_a_command_that_cannot_be_imported(shell: Any, command: str, source: str, said: str) -> None:
    """One sentence that names it and its distribution."""
    shell.plugin("", "", source, module="odd", commands=command)
    result = await shell.run(command)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"error: The command {command} of the-odd 1.0 cannot be {said}")
    assert "Traceback" in (await shell.run("--debug", command)).err


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("localagent tr", ["tree"]),
        ("localagent help tr", ["tree"]),
        ("localagent help tree ", ["oak"]),
        ("localagent help tree oak ", []),
        ("localagent help snap ", []),
        ("localagent tree ", ["oak"]),
        ("localagent snap --", []),
        ("localagent nothing --ver", ["--verbose", "--version"]),
    ],
)
async def test_commands_of_plugins_are_completed(shell: Any, typed: str, completed: list[str]) -> None:
    """Names and options; a broken command completes nothing, without an error."""
    shell.plugin("", "", GROUP, module="trees", commands="tree")
    shell.plugin("", "", BROKEN, module="broken", commands="snap")
    words = typed.split(" ")
    shell.environment |= {
        "_LOCALAGENT_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    result = await shell.run()
    assert result.err == ""
    assert [line.partition(",")[2] for line in result.out.splitlines() if line] == completed


async def test_plugins_lists_the_commands(shell: Any) -> None:
    """At the plugin of the same distribution, active or not; a distribution without a plugin is listed, too."""
    shell.plugin("bench-greeter", "Greeter", GREETER, commands="greet")
    shell.plugin("", "", GROUP, module="trees", commands="tree")
    for plugins, state in ((("bench-greeter",), "active"), ((), "idle")):
        shell.use("http://127.0.0.1:9/v1", plugins=plugins)
        shown = {one["name"]: one for one in json.loads((await shell.run("plugins", "--json")).out)["plugins"]}
        assert (shown["bench-greeter"]["commands"], shown["bench-greeter"]["state"]) == (["greet"], state)
        assert (shown["the-trees"]["commands"], shown["the-trees"]["why"]) == (["tree"], "adds commands only")
    async with shell.screen("--no-color", "plugins") as screen:
        await screen.shows("commands: greet")
        assert await screen.ends() == 0


@pytest.mark.parametrize("program", ["localagent", "localagent_cli"])
async def test_it_runs_as_a_module(shell: Any, program: str) -> None:
    """Of the core and of the command line; the usage says what the installed program is called."""
    process = await shell.start_program(sys.executable, "-m", program, "help", "ask", stdout=-1)
    out, _ = await process.communicate()
    assert (process.returncode, out.decode().splitlines()[0]) == (0, "Usage: localagent ask [OPTIONS] [PROMPT]...")


def listed(result: Any) -> dict[str, str]:
    """Return the commands of plugins in a list of commands, each with its line."""
    assert result.code == 0
    _, _, below = result.out.partition("\nCommands of plugins:\n")
    return dict(re.findall(r"(?m)^  (\S+) +(.+)$", below.partition("\n\n")[0]))
