"""Commands that plugins bring: found when they are typed, and never in the way of the others."""

from __future__ import annotations

from typing import Any

from localagent_testing import FaultServer

GREETER = """
    import sys
    from localagent import Command, Plugin, hookimpl

    def greet():
        import click
        from localagent_cli import current

        async def ask():
            async with current().client() as client:
                return (await client.chat("Hi")).text

        @click.command("greet")
        @click.option("--name", default="world")
        def command(name):
            line = current()
            line.terminal.line(f"Hello {name}: " + line.run(ask()))

        return command

    class Greeter(Plugin):
        @hookimpl
        def add_commands(self):
            return [Command("greet", "Say hello.", greet), Command("ask", "Ask otherwise.", greet)]
"""
LOUD = 'import sys\nprint("imported", file=sys.stderr)\n'
FAILS = """
    from localagent import Plugin, hookimpl

    class Fails(Plugin):
        @hookimpl
        def add_commands(self):
            raise ValueError("no")
"""
UNMADE = """
    from localagent import Command, Plugin, hookimpl

    class Unmade(Plugin):
        @hookimpl
        def add_commands(self):
            return [Command("unmade", "Fails.", lambda: 1 / 0), Command("strange", "Is none.", lambda: "text")]
"""


async def test_a_plugins_command_has_the_command_line_at_hand(shell: Any, answers: Any) -> None:
    """Its options, the terminal, a client with the settings, and the loop; errors end it as they end any command."""
    shell.plugin("bench-greeter", "Greeter", GREETER)
    async with FaultServer(answers("nice to meet you")) as server:
        shell.use(server.url + "/v1", plugins=("bench-greeter",))
        result = await shell.run("greet", "--name", "you")
        assert (result.code, result.out) == (0, "Hello you: nice to meet you\n")
    shell.use("http://127.0.0.1:9/v1", plugins=("bench-greeter",))
    result = await shell.run("greet")
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[-1].startswith("error: ")


async def test_a_name_that_is_taken_is_refused(shell: Any, says: Any) -> None:
    """The core's command stays what it is; a warning tells of the other when plugins are asked."""
    shell.plugin("bench-greeter", "Greeter", GREETER)
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1", plugins=("bench-greeter",))
        result = await shell.run("ask", "Hi")
        assert (result.out, result.err) == ("Yes.\n", "")
        result = await shell.run("nothing")
        assert "bench-greeter brings a command ask, which the core has already" in result.err


async def test_plugins_are_imported_only_for_their_commands(shell: Any) -> None:
    """Neither the help nor a command of the core that needs no plugin imports one."""
    shell.plugin("bench-loud", "Loud", LOUD + FAILS.replace("    from", "from").replace("\n    ", "\n"))
    shell.use("http://127.0.0.1:9/v1", plugins=("bench-loud",))
    for arguments in (("--help",), ("ask", "--help"), ("version",), ("config", "show")):
        assert "imported" not in (await shell.run(*arguments)).err
    assert "imported" in (await shell.run("nothing")).err


async def test_a_plugin_that_fails_does_not_break_the_command_line(shell: Any, answers: Any) -> None:
    """One line says that its commands are missing; those of others work."""
    shell.plugin("bench-fails", "Fails", FAILS)
    shell.plugin("bench-greeter", "Greeter", GREETER)
    async with FaultServer(answers("well")) as server:
        shell.use(server.url + "/v1", plugins=("bench-fails", "bench-greeter"))
        result = await shell.run("greet")
    assert (result.code, result.out) == (0, "Hello world: well\n")
    assert "warning: Plugin bench-fails failed in add_commands" in result.err
    assert "Traceback" not in result.err


async def test_a_command_that_cannot_be_made(shell: Any) -> None:
    """One sentence that names the plugin."""
    shell.plugin("bench-unmade", "Unmade", UNMADE)
    shell.use("http://127.0.0.1:9/v1", plugins=("bench-unmade",))
    result = await shell.run("unmade")
    assert result.code == 2
    assert "Plugin bench-unmade cannot make its command unmade: ZeroDivisionError" in result.err
    assert "which is no click.Command" in (await shell.run("strange")).err


async def test_plugins_lists_the_commands(shell: Any) -> None:
    """That is where a user finds them."""
    shell.plugin("bench-greeter", "Greeter", GREETER)
    shell.use("http://127.0.0.1:9/v1", plugins=("bench-greeter",))
    assert '"commands":["greet"]' in (await shell.run("plugins", "--json")).out


async def test_settings_that_keep_plugins_from_being_asked(shell: Any) -> None:
    """Why the command cannot be found is told beside that it cannot."""
    shell.settings("timeot = 1")
    result = await shell.run("greet")
    assert result.code == 2
    assert "warning: The plugins cannot be asked for the command greet" in result.err
    assert "There is no command greet" in result.err
