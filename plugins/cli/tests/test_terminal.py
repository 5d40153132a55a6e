"""What a real terminal gets: the styles of ours whole, and no control character of anybody else's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from localagent_testing import FaultServer, ReadRequest, Script, Send, answer

TITLE, LINK = "\x1b]0;owned\x07title", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\"
HOSTILE = f"\x1b[31mred {TITLE} {LINK} \x1b]52;c;b3duZWQ=\x07clip \x9b31mC1\x9d0;x\x9c good\rbad\x08\x7f"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
TABLE_OR_CURSOR = re.compile(r"\r?\x1b\[[0-9;?]*[A-Za-z]")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
TALKER = """
    import logging
    from localagent import Plugin, hookimpl

    TEXT = {text!r}

    class Talker(Plugin):
        def remarks(self, settings):
            return [TEXT]

        @hookimpl
        async def pre_request(self, call, request):
            logging.getLogger("localagent").warning("Heard %s", TEXT)
            logging.getLogger("localagent").info("Also %s", TEXT)
"""
STYLED = (
    (("doctor", "--timeout", "100 ms"), "\x1b[32mok    \x1b[0m"),
    (("plugins",), "\x1b[1mprovider-wire\x1b[0m 1.0 (the-provider-wire)\r\n  \x1b[32mactive\x1b[0m: "),
    (("explain",), "\x1b[1mchat\x1b[0m"),
    (("ask", "-v", "Hi"), "\x1b[90mlocalagent: Also"),
)


async def seen(shell: Any, *arguments: str, columns: int = 100) -> str:
    """Run a command in a terminal and return what came there."""
    async with shell.screen(*arguments, columns=columns) as screen:
        await screen.ends()
        return str(screen.text)


def offers(name: str) -> Script:
    """Make the script of a server that lists one model."""
    return (ReadRequest(), Send(answer(200, {"object": "list", "data": [{"id": name, "owned_by": name}]})))


@pytest.mark.parametrize(("arguments", "styled"), STYLED, ids=["doctor", "plugins", "explain", "ask"])
async def test_styles_reach_the_terminal_whole(shell: Any, arguments: tuple[str, ...], styled: str) -> None:
    """Escape and all; without them where nobody wants colours, and in a pipe."""
    shell.plugin("request-talker", "Talker", TALKER.format(text="this"))
    shell.use("http://127.0.0.1:9/v1", plugins=("request-talker",))
    text = await seen(shell, *arguments)
    assert styled in text
    assert not re.search(r"(?<!\x1b)\[\d+m", text)
    assert "\x1b" not in TABLE_OR_CURSOR.sub("", text)
    result = await shell.run(*arguments)
    assert "\x1b" not in result.out + result.err
    shell.environment["NO_COLOR"] = "1"
    uncoloured = await seen(shell, *arguments)
    assert STYLE.sub("", styled) in uncoloured
    assert not STYLE.search(uncoloured)


async def test_a_dumb_terminal_and_an_empty_no_color(shell: Any) -> None:
    """The first gets no styles; the second asks for nothing (no-color.org)."""
    shell.use("http://127.0.0.1:9/v1")
    shell.environment |= {"NO_COLOR": "", "TERM": "dumb"}
    assert not STYLE.search(await seen(shell, "plugins"))
    shell.environment["TERM"] = "xterm"
    assert "\x1b[32mactive" in await seen(shell, "plugins")


@pytest.mark.parametrize("columns", [1, 300])
async def test_a_style_survives_every_width(shell: Any, columns: int) -> None:
    """Narrow and wide: our lines are never cut within an escape sequence."""
    shell.use("http://127.0.0.1:9/v1")
    assert "\x1b[32mok    \x1b[0m" in await seen(shell, "doctor", "--timeout", "100 ms", columns=columns)
    shell.environment["COLUMNS"] = "many"
    assert "\x1b[1mprovider-wire\x1b[0m" in await seen(shell, "plugins", columns=columns)


@pytest.mark.parametrize("columns", [24, 300])
async def test_a_table_is_drawn_at_every_width(shell: Any, columns: int) -> None:
    """Names in any script, folded if there is no space."""
    async with FaultServer(offers("模型-ü")) as server:
        shell.use(server.url + "/v1")
        text = await seen(shell, "models", columns=columns)
    assert "\x1b[1m" in text
    shown = re.sub(r"\s", "", STYLE.sub("", text))
    assert all(letter in shown for letter in "模型ü")


async def test_foreign_text_is_stripped_wherever_it_comes_from(
    shell: Any, says: Callable[..., Script], refuses: Callable[..., Script]
) -> None:
    """A model's answer and name, a server's sentence, a plugin's remark and log: none brings a control character.

    Colours, titles, links (OSC 8), the clipboard (OSC 52), C1 controls, carriage returns and backspaces.
    """
    text = HOSTILE
    shell.plugin("request-talker", "Talker", TALKER.format(text=text))
    printed = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", text)
    cases = [
        (says(text), ("ask", "-v", "--receipt", "Hi")),
        (offers(text), ("models",)),
        (refuses(400, text), ("ask", "Hi")),
        (refuses(401, text), ("models", "--refresh")),
        (offers(text), ("explain",)),
    ]
    for script, arguments in cases:
        async with FaultServer(script) as server:
            shell.use(server.url + "/v1", plugins=("request-talker",))
            screen = await seen(shell, *arguments, columns=300)
        assert not CONTROLS.search(TABLE_OR_CURSOR.sub("", screen)), (arguments, screen)
        assert "\x1b[31m" not in screen.replace("\x1b[31merror: ", ""), (arguments, screen)
        if arguments[0] == "explain":
            assert printed in screen


async def test_a_chat_shows_no_control_characters_of_others(shell: Any, says: Callable[..., Script]) -> None:
    """What the user typed as the system text comes back without them, too."""
    async with FaultServer(says(LINK)) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat", "--system", TITLE) as screen:
            await screen.shows("> ")
            screen.types("/system\n")
            await screen.shows("]0;ownedtitle")
            await screen.shows("> ")
            screen.types("Hi\n")
            await screen.shows("link")
            await screen.shows("> ")
            await screen.presses("\x04")
            assert await screen.ends() == 0
    assert "\x1b]" not in screen.text


async def test_progress_is_text_and_no_markup(shell: Any, says: Callable[..., Script]) -> None:
    """Brackets in a file's name are shown as they are."""
    shell.plugin("request-loader", "Loader", """
        from localagent import Plugin, hookimpl
        from localagent.plugin_api import progress

        class Loader(Plugin):
            @hookimpl
            async def pre_request(self, call, request):
                progress.info("loading [/red]\\x1b[31m%s", "[bold]x")
    """)  # fmt: skip
    async with FaultServer(says("Red.")) as server:
        shell.use(server.url + "/v1", plugins=("request-loader",))
        text = await seen(shell, "ask", "Hi")
    assert "loading [/red][31m[bold]x" in text
    assert "Red." in text
