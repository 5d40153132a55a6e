"""Steps for the tests of the pipeline: made of a function, without a plugin."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from localagent.pipeline import Step
from localagent.pipeline.failures import PluginFailures
from localagent.plugin_api import Kind, OnRaise, hook
from localagent.plugin_api.kinds import HookSpec
from localagent.timing import NEVER, Timer
from localagent_testing import ManualClock

CLOCK = ManualClock()


def spec_of(on_raise: OnRaise = OnRaise.CALL, result: tuple[type, ...] = (int,)) -> HookSpec:
    @hook(Kind.FIRST, phase="test", on_raise=on_raise, result=result)
    async def some_hook(value: Any) -> Any: ...

    spec: HookSpec = some_hook.hook_spec  # type: ignore[attr-defined]
    return spec


def step_of(
    function: Callable[..., Any],
    on_raise: OnRaise = OnRaise.CALL,
    *,
    limit: float = 1.0,
    failures: PluginFailures | None = None,
) -> Step:
    awaits = inspect.iscoroutinefunction(function)
    return Step(function, "rate-x", spec_of(on_raise), awaits, limit, "by name", failures or PluginFailures(CLOCK))


def gives(value: Any, *, awaits: bool) -> Callable[..., Any]:
    """A step that returns a value, or raises it."""

    def now(*arguments: Any) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    async def later(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return now()

    return later if awaits else now


def timer(deadline: float = NEVER) -> Timer:
    made = Timer(asyncio.get_running_loop(), deadline)
    made.enter()
    return made


both = pytest.mark.parametrize("awaits", [False, True], ids=["plain", "awaiting"])


def sleeps_for(seconds: float) -> Callable[..., Any]:
    async def sleeps(value: Any) -> None:
        await asyncio.sleep(seconds)

    return sleeps
