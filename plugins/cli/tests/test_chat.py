"""``localagent chat``: a conversation that can be stopped, left, and never outgrows the model's window."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from localagent_testing import FaultServer, ReadRequest, Script, Send, Stall, chunk
from localagent_testing.faults.dialects import DIALECTS

OPENAI = DIALECTS["openai"]
SOON = 30.0
COUNTER = """
    from localagent import Plugin, hookimpl

    class Words:
        def message(self, message):
            return len(message["content"].split())

        def request(self, request):
            return sum(map(self.message, request.messages))

    class Counter(Plugin):
        @hookimpl
        def tokenize(self, target):
            return Words()
"""

LINGERS = """
    import asyncio, sys
    from localagent import Plugin, hookimpl

    class Lingers(Plugin):
        @hookimpl
        async def pre_request(self, call, request):
            try:
                print("begun", file=sys.stderr, flush=True)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                print("cleaning", file=sys.stderr, flush=True)
                await asyncio.Event().wait()
"""


def asked(server: FaultServer) -> list[list[str]]:
    """Return what each request said, message by message."""
    documents = [json.loads(request.body) for request in server.requests]
    return [[message["content"] for message in document["messages"]] for document in documents]


async def test_a_conversation_remembers_what_was_said(shell: Any, says: Any) -> None:
    """Every request holds the exchanges before it; Ctrl-D leaves."""
    async with FaultServer([says("Hello."), says("You said Hi.")]) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat", "--system", "Be brief.") as screen:
            await screen.shows("wire/m: /help")
            await screen.shows("> ")
            screen.types("Hi\n")
            await screen.shows("Hello.")
            await screen.shows("> ")
            screen.types("What did I say?\n")
            await screen.shows("You said Hi.")
            await screen.shows("> ")
            screen.types("\x04")
            assert await screen.ends() == 0
        assert asked(server) == [["Be brief.", "Hi"], ["Be brief.", "Hi", "Hello.", "What did I say?"]]


async def test_ctrl_c_stops_the_answer_and_not_the_program(shell: Any, says: Any, stream_head: bytes) -> None:
    """The connection is closed, what arrived is remembered, the prompt is back; at an empty one Ctrl-C leaves."""
    endless: Script = (ReadRequest(), Send(stream_head + chunk(OPENAI.text("Once upon"))), Stall())
    async with FaultServer([endless, says("The end.")]) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat") as screen:
            await screen.shows("> ")
            screen.types("A story\n")
            await screen.shows("Once upon")
            screen.types("\x03")
            await screen.shows("stopped")
            await screen.shows("> ")
            await asyncio.wait_for(server.all_closed(), SOON)
            screen.types("Go on\n")
            await screen.shows("The end.")
            await screen.shows("> ")
            await screen.presses("\x03")
            assert await screen.ends() == 130
        assert asked(server)[1] == ["A story", "Once upon", "Go on"]
        assert "Traceback" not in screen.text


async def test_ctrl_c_before_the_first_word_forgets_the_question(shell: Any, says: Any) -> None:
    """As if it had not been asked."""
    async with FaultServer([(ReadRequest(), Stall()), says("Yes.")]) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat") as screen:
            await screen.shows("> ")
            screen.types("First\n")
            await asyncio.wait_for(server.arrived(), SOON)
            screen.types("\x03")
            await screen.shows("stopped")
            await screen.shows("> ")
            screen.types("Second\n")
            await screen.shows("Yes.")
            await screen.shows("> ")
            screen.types("\x04")
            assert await screen.ends() == 0
        assert asked(server)[1] == ["Second"]


async def test_ctrl_c_in_a_line_drops_the_line(shell: Any, says: Any) -> None:
    """Only at an empty prompt it leaves."""
    pytest.importorskip("readline")
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat") as screen:
            await screen.shows("> ")
            screen.types("half a quest")
            await screen.shows("half a quest")
            await screen.presses("\x03")
            await screen.shows("> ")
            screen.types("Hi\n")
            await screen.shows("Yes.")
            await screen.shows("> ")
            await screen.presses("\x03")
            assert await screen.ends() == 130
        assert asked(server) == [["Hi"]]


@pytest.mark.parametrize("arguments", [("ask", "Hi"), ("chat",)], ids=["ask", "chat"])
async def test_ctrl_c_twice_leaves_at_once(shell: Any, arguments: tuple[str, ...]) -> None:
    """Also when what the first one cancelled does not come to an end."""
    shell.plugin("request-lingers", "Lingers", LINGERS)
    shell.use("http://127.0.0.1:9/v1", plugins=("request-lingers",), more="[step_timeouts]\npre_request = 600")
    async with shell.screen(*arguments) as screen:
        if arguments == ("chat",):
            await screen.shows("> ")
            screen.types("Hi\n")
        await screen.shows("begun")
        screen.types("\x03")
        await screen.shows("cleaning")
        screen.types("\x03")
        assert await screen.ends() == 130
    assert "Traceback" not in screen.text


async def test_a_failed_answer_ends_neither_the_chat_nor_its_memory(shell: Any, says: Any, refuses: Any) -> None:
    """One sentence, and the prompt is back; the failed question is not part of the next request."""
    async with FaultServer([refuses(401, "no"), says("Yes.")]) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("chat", "--no-color") as screen:
            await screen.shows("> ")
            screen.types("First\n")
            await screen.shows("error: The provider does not accept the key")
            await screen.shows("> ")
            screen.types("Second\n")
            await screen.shows("Yes.")
            await screen.shows("> ")
            screen.types("/exit\n")
            assert await screen.ends() == 0
        assert asked(server)[1] == ["Second"]


async def test_the_words_with_a_slash(shell: Any, says: Any) -> None:
    """They change the conversation and are not sent; a path is not such a command."""
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1", more='[models]\nfast = ["wire/quick"]')
        async with shell.screen("chat", "--no-color") as screen:
            for typed, shown in (
                ("/help", "/system [TEXT]"),
                ("/model", "wire/m"),
                ("/model nobody", "error: There is no alias named nobody."),
                ("/model fast", "fast"),
                ("/system Be brief.", "Be brief."),
                ("/nonsense", "error: There is no command /nonsense."),
                ("/etc/hosts is what?", "Yes."),
                ("/clear", "The conversation is forgotten."),
                ("/system -", "There is no system prompt."),
                ('"""\none\ntwo\n"""', "Yes."),
            ):
                await screen.shows("> ")
                screen.types(typed + "\n")
                await screen.shows(shown)
            await screen.shows("> ")
            screen.types("/exit\n")
            assert await screen.ends() == 0
        assert asked(server) == [["Be brief.", "/etc/hosts is what?"], ["one\ntwo"]]
        assert {json.loads(request.body)["model"] for request in server.requests} == {"quick"}


async def test_the_oldest_exchanges_are_forgotten(shell: Any, says: Any) -> None:
    """A plugin counts: eight tokens, two of them for the answer, leave six; the system prompt always stays."""
    shell.plugin("tokenize-words", "Counter", COUNTER)
    lines = b"one one\ntwo two\nthree three\n"
    async with FaultServer(says("answer")) as server:
        shell.use(server.url + "/v1", plugins=("tokenize-words",))
        result = await shell.run("chat", "--system", "brief", "--context-tokens", "8", stdin=lines)
        assert (result.code, result.out) == (0, "answer\n" * 3)
        assert result.err.startswith("The context is full: the oldest exchanges are dropped from now on")
        assert result.err.count("\n") == 1
        assert asked(server) == [
            ["brief", "one one"],
            ["brief", "one one", "answer", "two two"],
            ["brief", "two two", "answer", "three three"],
        ]


async def test_without_a_terminal_lines_are_questions(shell: Any, says: Any) -> None:
    """No prompt is written; the end of the input is the end of the chat."""
    async with FaultServer([says("One."), says("Two.")]) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("chat", stdin=b"first\n\nsecond\n")
        assert (result.code, result.out, result.err) == (0, "One.\nTwo.\n", "")
        assert len(server.requests) == 2


async def test_without_a_terminal_an_error_ends_it(shell: Any, refuses: Any) -> None:
    """A script learns it from the exit code."""
    async with FaultServer(refuses(401, "no")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("chat", stdin=b"first\nsecond\n")
        assert (result.code, result.out) == (5, "")
        assert len(server.requests) == 1


async def test_a_model_that_is_not_there_is_told_at_once(shell: Any) -> None:
    """Before anybody types a question in vain."""
    shell.use("http://127.0.0.1:9/v1")
    result = await shell.run("chat", "--model", "nobody/x", stdin=b"")
    assert result.code == 4
    assert "no provider named nobody" in result.err
