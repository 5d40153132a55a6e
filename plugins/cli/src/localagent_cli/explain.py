"""``localagent explain``: the steps of a request, their order, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from localagent.plugin_api import OPERATIONS
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.prompts import read_prompt
from localagent_cli.receipts import receipt_text
from localagent_cli.request_options import RequestOptions, chat_request, request_options
from localagent_cli.terminal import Piece, Styled
from localagent_cli.waiting import Waiting

if TYPE_CHECKING:
    from localagent import Receipt
    from localagent.pipeline import Pipeline, Step
    from localagent_cli.terminal import Terminal

Hooks = Mapping[str, Sequence["Step"]]


@command("explain", help="Show the steps of a request in order, with the reason for each step's place.\n\n"
                         "With a PROMPT: send it and show the decision and cost of each step.")  # fmt: skip
@click.argument("prompt", nargs=-1)
@request_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(line: CommandLine, *, prompt: tuple[str, ...], request_options: RequestOptions, as_json: bool) -> None:
    """Show the steps of a request."""
    if text := read_prompt(prompt, required=False):
        line.run(_explain_prompt(line, text, request_options, as_json=as_json))
        return
    from localagent.instances import provider_types, with_pools

    settings, pipeline, _ = line.assembled()
    settings = with_pools(settings, provider_types(pipeline))
    remarks = [f"{name}: {remark}" for name, plugin in pipeline.plugins.items() for remark in plugin.remarks(settings)]
    if as_json:
        more = {"remarks": remarks} if remarks else {}
        line.terminal.line(msgspec.json.encode(_document(pipeline) | more).decode())
        return
    for pieces in _lines(pipeline):
        line.terminal.line(*pieces)
    for remark in remarks:
        line.terminal.line(remark)


async def _explain_prompt(line: CommandLine, text: str, request_options: RequestOptions, *, as_json: bool) -> None:
    from localagent_cli.asking import Question

    request = chat_request(request_options, text)
    with Waiting(line.terminal):
        async with line.client() as client:
            question = Question(
                await client.runtime(), request, stream=False, timeout=request_options.timeout, with_receipt=True
            )
            try:
                await question.whole()
            finally:
                _show_receipt(line.terminal, question.receipt, as_json=as_json)


def _show_receipt(terminal: Terminal, receipt: Receipt, *, as_json: bool) -> None:
    terminal.line(msgspec.json.encode(receipt).decode() if as_json else receipt_text(receipt))


def _by_operation(pipeline: Pipeline) -> dict[str, Hooks]:
    """Return the steps of each operation, and the steps that belong to no call."""
    plans = {operation: pipeline.plan(operation).steps() for operation in OPERATIONS}
    calls = {hook for plan in plans.values() for hook in plan}
    others = {hook: steps for hook, steps in pipeline.steps.items() if hook not in calls}
    return {"once, or when asked": others, **plans}


def _document(pipeline: Pipeline) -> dict[str, object]:
    return {
        operation: {hook: [{"plugin": step.plugin, "why": step.why} for step in steps] for hook, steps in hooks.items()}
        for operation, hooks in _by_operation(pipeline).items()
    }


def _lines(pipeline: Pipeline) -> Iterator[tuple[Piece, ...]]:
    shown: dict[str, tuple[tuple[str, ...], ...]] = {}
    for operation, hooks in _by_operation(pipeline).items():
        rows = tuple(_rows(hooks))
        same = next((name for name, others in shown.items() if others == rows), None)
        shown[operation] = rows
        yield Styled(operation, bold=True), f": as {same}" if same else "" if rows else ": no steps"
        if not same:
            yield from zip(_aligned(rows), strict=True)
    empty = [hook for hook, steps in pipeline.steps.items() if not steps]
    if empty:
        yield (f"No plugin has a step in: {', '.join(empty)}.",)


def _rows(hooks: Hooks) -> Iterator[tuple[str, ...]]:
    for hook, steps in hooks.items():
        for number, step in enumerate(steps, 1):
            yield hook if number == 1 else "", f"{number}. {step.plugin}", step.why


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for hook, plugin, why in rows:
        yield f"  {hook:<{widths[0]}}  {plugin:<{widths[1]}}  {why}"
