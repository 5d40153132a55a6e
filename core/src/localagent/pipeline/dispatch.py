"""Calls a hook's steps and combines their results: one function for each kind, and one for its synchronous hooks.

CHAIN is not here: ``calls.stream_steps`` connects the objects that its steps return.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from localagent.errors import LocalAgentError
from localagent.pipeline.steps import Step, ask, ask_now
from localagent.plugin_api.kinds import HookSpec, Kind, OnRaise
from localagent.timing.timer import NEVER, Timer

T = TypeVar("T")


async def pipe(steps: Sequence[Step], timer: Timer, subject: Any, value: T) -> T:
    """PIPE: each step receives the result of the previous one."""
    for step in steps:
        result = await ask(step, timer, subject, value) if step.awaits else ask_now(step, subject, value)
        if result is not None:
            value = result
    return value


def pipe_now(steps: Sequence[Step], subject: Any, value: T) -> T:
    """PIPE of a synchronous hook."""
    for step in steps:
        result = ask_now(step, subject, value)
        if result is not None:
            value = result
    return value


async def first(steps: Sequence[Step], timer: Timer, *arguments: Any) -> tuple[Any, Step | None]:
    """FIRST and GATE: the first result or refusal that is not None, with the step that returned it."""
    for step in steps:
        try:
            result = await ask(step, timer, *arguments) if step.awaits else ask_now(step, *arguments)
        except LocalAgentError as error:
            if timer.expired:
                raise
            _skip(step, error)
            continue
        if result is not None:
            return result, step
    return None, None


def first_now(steps: Sequence[Step], *arguments: Any) -> Any:
    """FIRST and GATE of a synchronous hook: the first result or refusal that is not None."""
    for step in steps:
        try:
            result = ask_now(step, *arguments)
        except LocalAgentError as error:
            _skip(step, error)
            continue
        if result is not None:
            return result
    return None


def _skip(step: Step, error: LocalAgentError) -> None:
    """Skip a failed step and count the failure if its hook is declared so; otherwise raise its error."""
    if step.spec.on_raise is not OnRaise.SKIP:
        raise error
    step.failures.note(step, error)


async def notify_all(steps: Sequence[Step], timer: Timer, *arguments: Any) -> None:
    """NOTIFY: call all steps, even if some fail."""
    for step in steps:
        try:
            await ask(step, timer, *arguments)
        except LocalAgentError as error:
            step.failures.note(step, error)


def notify(steps: Sequence[Step], *arguments: Any) -> None:
    """NOTIFY of a synchronous hook: call all steps, even if some fail."""
    for step in steps:
        try:
            step.call(*arguments)
        except (Exception, asyncio.CancelledError) as error:  # the plugin's code: isolated by the hook's contract
            step.failures.note(step, error)


async def collect(steps: Sequence[Step], timer: Timer, *arguments: Any) -> list[Any]:
    """COLLECT: return all results that are not None."""
    results = [await ask(step, timer, *arguments) for step in steps]
    return [result for result in results if result is not None]


def collect_now(steps: Sequence[Step], *arguments: Any) -> list[Any]:
    """COLLECT of a synchronous hook: return all results that are not None."""
    results = []
    for step in steps:
        try:
            results.append(ask_now(step, *arguments))
        except LocalAgentError as error:
            _skip(step, error)
    return [result for result in results if result is not None]


async def _first_result(steps: Sequence[Step], timer: Timer, *arguments: Any) -> Any:
    return (await first(steps, timer, *arguments))[0]


_NOW: Mapping[Kind, Callable[..., Any]] = {
    Kind.PIPE: pipe_now, Kind.FIRST: first_now, Kind.GATE: first_now, Kind.NOTIFY: notify,
    Kind.COLLECT: collect_now, Kind.CHAIN: collect_now,
}  # fmt: skip
_AWAITING: Mapping[Kind, Callable[..., Any]] = {
    Kind.PIPE: pipe, Kind.FIRST: _first_result, Kind.GATE: _first_result, Kind.NOTIFY: notify_all,
    Kind.COLLECT: collect,
}  # fmt: skip


def caller(spec: HookSpec, steps: Sequence[Step], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Return a function that calls the steps of a hook outside of any call; it is async unless the hook is sync."""
    if spec.sync:
        return functools.partial(_NOW[spec.kind], steps)

    async def call(*arguments: Any) -> Any:
        with Timer(loop, NEVER) as timer:
            return await _AWAITING[spec.kind](steps, timer, *arguments)

    return call
