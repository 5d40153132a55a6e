"""``localagent ask``: one question, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import click
import msgspec

from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.prompts import read_prompt
from localagent_cli.receipts import receipt_text
from localagent_cli.request_options import RequestOptions, chat_request, request_options
from localagent_cli.waiting import Waiting

if TYPE_CHECKING:
    from localagent import ChatRequest, ChatResponse
    from localagent_cli.asking import Question
    from localagent_cli.terminal import Terminal


@attrs.frozen
class OutputOptions:
    """How the answer is printed.

    Attributes:
        as_json: Whether it is printed as one JSON object.
        streamed: Whether it is streamed.
        receipt: Whether its receipt is printed, too.
        timeout: Seconds for the whole call; None takes the timeout of the settings.
    """

    as_json: bool
    streamed: bool
    receipt: bool
    timeout: float | None


@command("ask", help="Ask a model one question.\n\nIf PROMPT is - or missing, it is read from standard input. If there "
                     "are both, the input follows the prompt.")  # fmt: skip
@click.argument("prompt", nargs=-1)
@request_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: text, model, usage, finish_reason ...")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@click.option("--receipt", is_flag=True, help="Print the decision and cost of each step to standard error.")
def ask(
    line: CommandLine,
    *,
    prompt: tuple[str, ...],
    request_options: RequestOptions,
    as_json: bool,
    no_stream: bool,
    receipt: bool,
) -> None:
    """Ask a model one question."""
    question = read_prompt(prompt)
    output = OutputOptions(
        as_json=as_json, streamed=not (no_stream or as_json), receipt=receipt, timeout=request_options.timeout
    )
    line.run(_ask(line, chat_request(request_options, question), output))


async def _ask(line: CommandLine, request: ChatRequest, output: OutputOptions) -> None:
    from localagent_cli.asking import Question

    terminal = line.terminal
    with Waiting(terminal):
        async with line.client() as client:
            runtime = await client.runtime()
            question = Question(
                runtime,
                request,
                stream=output.streamed,
                timeout=output.timeout,
                with_receipt=output.receipt or line.verbose,
            )
            with_steps = output.receipt
            try:
                if output.streamed:
                    await _as_it_comes(terminal, question)
                else:
                    await _complete(terminal, question, output)
                with_steps = with_steps and not output.as_json  # there it is part of the object
            finally:
                terminal.end_line()
                if with_steps or line.verbose:
                    terminal.note(receipt_text(question.receipt, steps=with_steps))


async def _as_it_comes(terminal: Terminal, question: Question) -> None:
    async with question.stream() as stream:
        async for chunk in stream:
            terminal.write(chunk.text)
    _report_length(terminal, stream.finish_reason)


async def _complete(terminal: Terminal, question: Question, output: OutputOptions) -> None:
    response = await question.whole()
    if output.as_json:
        terminal.line(_as_json(response, question if output.receipt else None))
        return
    terminal.write(response.text)
    _report_length(terminal, response.finish_reason)


def _report_length(terminal: Terminal, finish_reason: str | None) -> None:
    if finish_reason == "length":
        terminal.end_line()
        terminal.note("The answer is incomplete: it reached its maximum length (--max-tokens).", label="warning")


def _as_json(response: ChatResponse, question: Question | None) -> str:
    document: dict[str, Any] = {
        "text": response.text,
        "model": response.model,
        "usage": response.usage,
        "finish_reason": response.finish_reason,
        "request_id": response.request_id,
    }
    if response.cached:
        document["cached"] = response.cached
    if question is not None:
        document["receipt"] = question.receipt
    return msgspec.json.encode(document).decode()
