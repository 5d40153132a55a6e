"""``localagent ask``: one question, one answer, in pipes, in terminals and in scripts."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from localagent_testing import (
    CANARY_PROMPT,
    Close,
    FaultServer,
    Hold,
    ReadRequest,
    Repeat,
    Send,
    Stall,
    answer,
    chunk,
)
from localagent_testing.faults.dialects import DIALECTS

OPENAI = DIALECTS["openai"]
PIPE = asyncio.subprocess.PIPE
SOON = 30.0


def body(server: FaultServer, number: int = 0) -> dict[str, Any]:
    """Return the request that the server read."""
    document: dict[str, Any] = json.loads(server.requests[number].body)
    return document


async def test_the_answer_is_written_as_it_comes(shell: Any, stream_head: bytes) -> None:
    """The first words are there while the server has not said the rest; nothing else is written."""
    script = (
        ReadRequest(), Send(stream_head + chunk(OPENAI.opening()) + chunk(OPENAI.text("Red, "))), Hold(SOON),
        Send(chunk(OPENAI.text("blue.")) + b"".join(map(chunk, OPENAI.ending())) + b"0\r\n\r\n"),
    )  # fmt: skip
    async with FaultServer(script) as server:
        shell.use(server.url + "/v1")
        process = await shell.start("ask", "Name", "two colours.", stdout=PIPE, stderr=PIPE)
        first = await asyncio.wait_for(process.stdout.readexactly(5), SOON)
        server.release()
        rest, errors = await asyncio.wait_for(process.communicate(), SOON)
        assert (first, rest, errors, process.returncode) == (b"Red, ", b"blue.\n", b"", 0)
        assert body(server)["messages"] == [{"role": "user", "content": "Name two colours."}]


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [
        (["-"], b"from a file\n", "from a file"),
        ([], b"\xef\xbb\xbffrom a file", "from a file"),
        (["Translate:"], "Grün\n".encode(), "Translate:\n\nGrün"),
        (["Alone."], b"", "Alone."),
    ],
)
async def test_the_prompt_is_typed_or_comes_through_standard_input(
    shell: Any, says: Any, arguments: list[str], stdin: bytes, prompt: str
) -> None:
    """A dash or nothing means standard input; what comes there follows what was typed."""
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", *arguments, stdin=stdin)
        assert (result.code, result.out, result.err) == (0, "Yes.\n", "")
        assert body(server)["messages"][0]["content"] == prompt


async def test_options_become_fields_of_the_request(shell: Any, says: Any) -> None:
    """The system prompt comes first; what is not given is not sent."""
    async with FaultServer(says("Yes.")) as server:
        shell.use(server.url + "/v1")
        options = ("-s", "Be brief.", "-m", "wire/other", "--temperature", "0.5", "--max-tokens", "7")
        await shell.run("ask", "Hi", *options, "--timeout", "30 s")
        await shell.run("ask", "Hi")
        first, second = body(server), body(server, 1)
        assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
        assert (first["model"], first["temperature"], first["max_tokens"]) == ("other", 0.5, 7)
        assert {"temperature", "max_tokens"}.isdisjoint(second)


async def test_json_is_one_object(shell: Any, answers: Any) -> None:
    """It has the text, the model, the tokens, the finish reason and the request's id."""
    async with FaultServer(answers("Red.")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--json", "Hi")
        document = json.loads(result.out)
        assert result.out.count("\n") == 1
        assert (document["text"], document["model"], document["finish_reason"]) == ("Red.", "wire/m", "stop")
        assert document["usage"]["total_tokens"] == 5
        assert document["request_id"].startswith("la-")
        assert "stream" not in body(server)


async def test_json_can_hold_the_receipt(shell: Any, answers: Any) -> None:
    """With --receipt; then nothing is written to standard error."""
    async with FaultServer(answers("Red.")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--json", "--receipt", "Hi")
        assert json.loads(result.out)["receipt"]["attempts"][0]["status"] == "ok"
        assert result.err == ""


async def test_without_streaming_the_answer_is_printed_whole(shell: Any, answers: Any) -> None:
    """--no-stream asks the server for a whole answer."""
    async with FaultServer(answers("Red.")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--no-stream", "Hi")
        assert (result.code, result.out) == (0, "Red.\n")
        assert "stream" not in body(server)


async def test_an_answer_cut_at_its_length_says_so(shell: Any, answers: Any) -> None:
    """The exit code is 0, and a warning says why the answer ends in the middle."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Once"}, "finish_reason": "length"}
    async with FaultServer(answers(choices=[choice])) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--no-stream", "Tell me a story")
        assert (result.code, result.out) == (0, "Once\n")
        assert result.err == "warning: The answer is incomplete: it reached its maximum length (--max-tokens).\n"


async def test_a_receipt_goes_to_standard_error(shell: Any, says: Any) -> None:
    """It names the attempt and how it ended; neither the prompt nor the answer is in it."""
    async with FaultServer(says("Red.")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--receipt", CANARY_PROMPT)
        assert result.out == "Red.\n"
        assert "attempt 1: wire/m at wire@127.0.0.1" in result.err
        assert "first content after" in result.err
        assert CANARY_PROMPT not in result.err


async def test_a_failed_call_has_a_receipt_too(shell: Any, refuses: Any) -> None:
    """That is when it is needed most."""
    async with FaultServer(refuses(401, "no")) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "--receipt", "Hi")
        assert result.code == 5
        assert "failed (upstream_auth)" in result.err


async def test_verbose_says_what_was_done(shell: Any, says: Any) -> None:
    """-v, before or after the command, shows the call and its attempts."""
    async with FaultServer(says("Red.")) as server:
        shell.use(server.url + "/v1")
        results = [await shell.run("-v", "ask", "Hi"), await shell.run("ask", "Hi", "--verbose")]
        assert ["attempt 1: wire/m" in result.err for result in results] == [True, True]


async def test_a_stream_that_breaks_off_leaves_what_arrived(shell: Any, stream_head: bytes) -> None:
    """Then one sentence follows on standard error, and the exit code shows that the answer is incomplete."""
    script = (ReadRequest(), Send(stream_head + chunk(OPENAI.text("Red, yel"))), Close())
    async with FaultServer(script) as server:
        shell.use(server.url + "/v1")
        result = await shell.run("ask", "Name three colours.")
        assert (result.code, result.out) == (7, "Red, yel\n")
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1


async def test_a_reader_that_has_enough_ends_it_quietly(shell: Any, stream_head: bytes) -> None:
    """As in ``localagent ask ... | head -c 4``: the connection is closed, and nobody complains."""
    text = chunk(OPENAI.text("word " * 1000))
    script = (ReadRequest(), Send(stream_head + text), Repeat((Send(text),)))
    async with FaultServer(script) as server:
        shell.use(server.url + "/v1")
        process = await shell.start("ask", "Talk", stdout=PIPE, stderr=PIPE)
        await asyncio.wait_for(process.stdout.readexactly(4), SOON)
        process.stdout._transport.close()
        errors = await asyncio.wait_for(process.stderr.read(), SOON)
        assert (await process.wait(), errors) == (141, b"")
        await asyncio.wait_for(server.all_closed(), SOON)


@pytest.mark.parametrize("before", [(), (Send(answer(200, b"", content_length=99)),)], ids=["unanswered", "begun"])
async def test_ctrl_c_closes_the_connection(shell: Any, before: tuple[Any, ...]) -> None:
    """The exit code is 130, and nothing is written: the user who pressed the keys knows what happened."""
    async with FaultServer((ReadRequest(), *before, Stall())) as server:
        shell.use(server.url + "/v1")
        process = await shell.start("ask", "Talk", stdout=PIPE, stderr=PIPE)
        await asyncio.wait_for(server.arrived(), SOON)
        process.send_signal(signal.SIGINT)
        out, errors = await asyncio.wait_for(process.communicate(), SOON)
        assert (process.returncode, out, errors) == (130, b"", b"")
        await asyncio.wait_for(server.all_closed(), SOON)


async def test_ctrl_c_in_the_middle_leaves_what_arrived(shell: Any, stream_head: bytes) -> None:
    """In a terminal the text ends with its line."""
    script = (ReadRequest(), Send(stream_head + chunk(OPENAI.text("Red, yel"))), Stall())
    async with FaultServer(script) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("ask", "Name three colours.") as screen:
            await screen.shows("Red, yel")
            screen.types("\x03")
            assert await screen.ends() == 130
        assert "Traceback" not in screen.text
        await asyncio.wait_for(server.all_closed(), SOON)


async def test_a_model_cannot_command_the_terminal(shell: Any, says: Any) -> None:
    """Escape sequences in an answer lose their escape on a terminal; into a pipe bytes go as they are."""
    title = "\x1b]0;owned\x07done"
    async with FaultServer(says(title)) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("ask", "Hi") as screen:
            assert await screen.ends() == 0
        assert "]0;owneddone" in screen.text
        assert "\x1b]0" not in screen.text
        assert (await shell.run("ask", "Hi")).out == title + "\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ((), b"", "There is no prompt"),
        (("-",), b"\xff\xfe", "not UTF-8 text"),
        (("--temperature", "hot", "Hi"), b"", "'hot' is not a valid float"),
        (("--timeout", "soon", "Hi"), b"", "soon is not a duration"),
        (("--timeout", "0", "Hi"), b"", "0 is not a duration"),
        (("--nonsense", "Hi"), b"", "--nonsense"),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_sent(
    shell: Any, arguments: tuple[str, ...], stdin: bytes, said: str
) -> None:
    """One sentence, where to read on, exit code 2."""
    shell.use("http://127.0.0.1:9/v1")
    result = await shell.run("ask", *arguments, stdin=stdin)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert result.err.startswith("error: ")
    assert "See: localagent ask --help" in result.err
