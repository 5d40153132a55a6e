"""News about what takes long: shown on a terminal until the answer begins, nowhere else."""

from __future__ import annotations

from typing import Any

from localagent_testing import FaultServer, Hold, ReadRequest, Send, chunk
from localagent_testing.faults.dialects import DIALECTS

OPENAI = DIALECTS["openai"]
LOADER = """
    from localagent import Plugin, hookimpl
    from localagent.plugin_api import progress

    class Loader(Plugin):
        @hookimpl
        async def pre_request(self, call, request):
            progress.info("loading %s ... %d %%", "tiny", 40)
"""
WARNS = """
    import logging
    from localagent import Plugin, hookimpl

    class Warns(Plugin):
        @hookimpl
        async def pre_request(self, call, request):
            logging.getLogger("localagent").warning("A thing %s.", "happened")
            logging.getLogger("localagent").info("A detail.")
            logging.getLogger("asyncio").error("Nobody can fix this.", exc_info=ValueError("raw"))
"""


async def test_news_are_shown_until_the_first_word(shell: Any, stream_head: bytes) -> None:
    """Then the line is gone, and only the answer is shown."""
    rest = b"".join(map(chunk, (OPENAI.text("Red."), *OPENAI.ending()))) + b"0\r\n\r\n"
    async with FaultServer((ReadRequest(), Send(stream_head), Hold(30.0), Send(rest))) as server:
        shell.plugin("request-loader", "Loader", LOADER)
        shell.use(server.url + "/v1", plugins=("request-loader",))
        async with shell.screen("ask", "Hi") as screen:
            await screen.shows("loading tiny ... 40 %")
            server.release()
            await screen.shows("Red.")
            assert await screen.ends() == 0
    after = screen.text.rpartition("Red.")[2]
    assert "loading" not in after
    # rich shows the cursor again and erases its line before the first word
    assert screen.text.rindex("\x1b[?25h") < screen.text.rindex("Red.")
    assert screen.text.rindex("\x1b[2K") < screen.text.rindex("Red.")


async def test_a_long_silence_shows_something(shell: Any) -> None:
    """Also without any progress message; an error removes the line."""
    async with FaultServer((ReadRequest(), Hold(30.0))) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("ask", "Hi") as screen:
            await screen.shows("waiting for the answer")
            screen.types("\x03")
            assert await screen.ends() == 130
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("waiting")


async def test_a_pipe_gets_no_news(shell: Any, says: Any) -> None:
    """Nor does it with --verbose: who reads a log wants lines, not motion."""
    shell.plugin("request-loader", "Loader", LOADER)
    async with FaultServer(says("Red.")) as server:
        shell.use(server.url + "/v1", plugins=("request-loader",))
        assert (await shell.run("ask", "Hi")).err == ""
        assert "loading" not in (await shell.run("ask", "-v", "Hi")).err


async def test_the_log_is_sentences(shell: Any, says: Any) -> None:
    """Warnings always, more with --verbose; asyncio's complaints and tracebacks only with --debug."""
    shell.plugin("request-warns", "Warns", WARNS)
    async with FaultServer(says("Red.")) as server:
        shell.use(server.url + "/v1", plugins=("request-warns",))
        assert (await shell.run("ask", "Hi")).err == "warning: A thing happened.\n"
        assert "localagent: A detail.\n" in (await shell.run("ask", "-v", "Hi")).err
        debug = (await shell.run("ask", "--debug", "Hi")).err
        assert "ValueError: raw" in debug


async def test_colours_are_a_choice(shell: Any) -> None:
    """On a terminal only; NO_COLOR and --no-color turn them off."""
    shell.settings("timeot = 1")
    red = "\x1b[31m"
    async with shell.screen("models") as screen:
        assert await screen.ends() == 2
        assert f"{red}error: " in screen.text
    async with shell.screen("--no-color", "models") as screen:
        await screen.ends()
        assert "\x1b[" not in screen.text
    shell.environment["NO_COLOR"] = "1"
    async with shell.screen("models") as screen:
        await screen.ends()
        assert "\x1b[" not in screen.text
    assert red not in (await shell.run("models")).err
