"""A pipeline makes plans of plugins: the same whatever was found first; what does not fit is refused by name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import attrs
import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import InternalError, PluginError
from localagent.pipeline import Pipeline
from localagent.pipeline.pipeline import core_specs
from localagent.pipeline.plan import CALL_HOOKS
from localagent.plugin_api import Kind, OnRaise, Report, as_loaded, hook
from localagent.plugin_api.discovery import Loaded
from localagent.plugin_api.kinds import hookimpl
from localagent.plugin_api.plugin import Plugin
from localagent.records.receipt_lines import StepRecords
from localagent_testing import FakeCore

pluggy_marker = pluggy.HookimplMarker("localagent")


def step(hook: str, **marks: Any) -> Any:
    """An implementation of a hook that takes no arguments and does nothing."""
    if core_specs()[hook].sync:

        def plain(self: Plugin) -> None: ...

        plain.__name__ = hook
        return hookimpl(**marks)(plain)

    async def awaiting(self: Plugin) -> None: ...

    awaiting.__name__ = hook
    return hookimpl(**marks)(awaiting)


def plugin(name: str, **steps: Any) -> type[Plugin]:
    """A plugin with these steps."""
    return type("Made", (Plugin,), {"name": name, **steps})


def installed(kind: type[Plugin]) -> list[Loaded]:
    """The plugin, as if a distribution had brought it."""
    return [Loaded(kind.name, kind, kind, Report(kind.name, f"localagent-{kind.name}", "1.2", "active", "installed"))]


def refused(kind: type[Plugin]) -> str:
    """What a pipeline says to a plugin that does not fit; plugin, distribution and a hint are always there."""
    with pytest.raises(PluginError) as caught:
        Pipeline(installed(kind))
    message = str(caught.value)
    assert f"{kind.name} (distribution localagent-{kind.name} 1.2)" in message
    assert caught.value.hint
    return message


# One plan -------------------------------------------------------------------------------------------------------------

SIX = [
    plugin("cache-memory", cache_lookup=step("cache_lookup"), cache_store=step("cache_store", before="cache-valkey")),
    plugin("cache-valkey", cache_lookup=step("cache_lookup"), cache_store=step("cache_store")),
    plugin("failure-breaker", rate_check=step("rate_check", before="rate", must=True),
           select_instance=step("select_instance", before="select")),
    plugin("metrics-prometheus", record_metric=step("record_metric"), after_attempt=step("after_attempt")),
    plugin("rate-limit", rate_check=step("rate_check"), pre_request=step("pre_request", operations="chat")),
    plugin("select-least-busy", select_instance=step("select_instance"), after_attempt=step("after_attempt")),
]  # fmt: skip


def plan_of(kinds: Sequence[type[Plugin]], operation: str) -> dict[str, list[tuple[str, str]]]:
    steps = Pipeline(as_loaded(kinds)).plan(operation).steps()
    return {name: [(step.plugin, step.why) for step in placed] for name, placed in steps.items()}


@given(st.permutations(SIX), st.sampled_from(["chat", "complete", "embed"]))
def test_any_order_of_registration_gives_one_plan(kinds: list[type[Plugin]], operation: str) -> None:
    """Six plugins, registered in any order, make one plan, with the same reasons."""
    assert plan_of(kinds, operation) == plan_of(SIX, operation)


def test_a_plan_holds_every_hook_of_a_call() -> None:
    """In the order of a request's life; hooks without a step are empty."""
    plan = Pipeline(as_loaded(SIX)).plan("chat")
    assert tuple(plan.steps()) == CALL_HOOKS
    assert [step.plugin for step in plan.rate_check] == ["failure-breaker", "rate-limit"]
    assert plan.wrap_stream == ()


def test_a_step_may_be_for_some_operations_only() -> None:
    """``operations=`` narrows."""
    pipeline = Pipeline(as_loaded(SIX))
    assert [len(pipeline.plan(operation).pre_request) for operation in ("chat", "complete", "embed")] == [1, 0, 0]


def test_a_plan_is_made_once() -> None:
    """The same plan is given to every call; a recording one and one without some plugins are others."""
    pipeline = Pipeline(as_loaded(SIX))
    plain = pipeline.plan("chat")
    assert pipeline.plan("chat") is plain
    assert pipeline.plan("chat", recording=True) is not plain
    less = pipeline.plan("chat", without=frozenset({"failure-breaker"}))
    assert [step.plugin for step in less.rate_check] == ["rate-limit"]


def test_usage_is_needed_when_a_plugin_of_the_plan_needs_it() -> None:
    """What no active plugin needs is not asked of servers."""
    counter = plugin("cost-ledger", needs_usage=True)
    pipeline = Pipeline(as_loaded([counter]))
    assert pipeline.plan("chat").needs_usage
    assert not pipeline.plan("chat", without=frozenset({"cost-ledger"})).needs_usage


def test_a_plugin_gets_its_own_settings() -> None:
    """Filled, or the defaults."""

    @attrs.frozen
    class Mine:
        limit: int = 3

    kind = plugin("rate-mine", settings_class=Mine)
    assert Pipeline(as_loaded([kind])).plugins["rate-mine"].settings == Mine()
    assert Pipeline(as_loaded([kind]), {"rate-mine": Mine(7)}).plugins["rate-mine"].settings == Mine(7)


# What does not fit ----------------------------------------------------------------------------------------------------


def test_an_unknown_hook_is_refused() -> None:
    """A method that is marked and named like no hook is a mistake."""

    async def pre_requets(self: Plugin) -> None: ...

    assert "no hook named pre_requets" in refused(plugin("guard-x", pre_requets=hookimpl(pre_requets)))


def test_an_unknown_argument_is_refused() -> None:
    """The message says which arguments there are."""

    async def pre_request(self: Plugin, call: Any, requst: Any) -> None: ...

    message = refused(plugin("guard-x", pre_request=hookimpl(pre_request)))
    assert "pre_request takes other arguments than the hook offers (call, request)" in message


def test_a_default_argument_is_refused() -> None:
    """pluggy neither checks nor passes it, so it would silently never be filled."""

    async def pre_request(self: Plugin, call: Any, request: Any = None) -> None: ...

    message = refused(plugin("guard-x", pre_request=hookimpl(pre_request)))
    assert "pre_request gives request a default value" in message


@pytest.mark.parametrize("name", [spec.name for spec in core_specs().values() if spec.sync and not spec.pending])
def test_an_await_where_none_may_be_is_refused(name: str) -> None:
    """A synchronous hook runs where an await could be cancelled away."""

    async def awaiting(self: Plugin) -> None: ...

    awaiting.__name__ = name
    assert f"{name} must be a plain function" in refused(plugin("select-x", **{name: hookimpl(awaiting)}))


@pytest.mark.parametrize("name", [spec.name for spec in core_specs().values() if not spec.sync])
def test_a_plain_function_is_welcome_everywhere(name: str) -> None:
    """What awaits nothing need not be a coroutine function."""

    def plain(self: Plugin) -> None: ...

    plain.__name__ = name
    (step,) = Pipeline(as_loaded([plugin("select-x", **{name: hookimpl(plain)})])).steps[name]
    assert not step.awaits


@pytest.mark.parametrize("options", [{}, {"wrapper": True}, {"hookwrapper": True}, {"tryfirst": True}], ids=str)
def test_pluggys_own_marker_is_refused(options: dict[str, bool]) -> None:
    """Wrappers and ``tryfirst`` would not do here what they do elsewhere; the message says what to use."""

    def select_instance(self: Plugin) -> Any: ...

    message = refused(plugin("select-x", select_instance=pluggy_marker(**options)(select_instance)))
    assert "use localagent.hookimpl" in message


@pytest.mark.parametrize("options", [{"wrapper": True}, {"tryfirst": True}, {"trylast": True}], ids=str)
def test_our_marker_does_not_take_pluggys_options(options: dict[str, bool]) -> None:
    """Order is declared by ``before`` and ``after``."""
    with pytest.raises(TypeError):
        hookimpl(**options)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", [spec.name for spec in core_specs().values() if spec.pending])
def test_a_hook_whose_time_has_not_come_is_refused(name: str) -> None:
    """A plugin that uses one would wait for something that this version never does."""
    message = refused(plugin("failure-hedge", **{name: step(name)}))
    assert f"it uses {name}, but {core_specs()[name].pending} are not supported by this version" in message


def test_a_circle_of_wishes_is_refused() -> None:
    """Two plugins that each want to be first cannot both be loaded; the circle is shown."""
    kinds = [
        plugin("rate-a", rate_check=step("rate_check", before="rate-b")),
        plugin("rate-b", rate_check=step("rate_check", before="rate-a")),
    ]
    with pytest.raises(PluginError, match=r"rate_check cannot be ordered: rate-. runs before rate-"):
        Pipeline(as_loaded(kinds))


def test_settings_that_break_a_must_are_refused() -> None:
    """The message names the line of the settings that has to change."""
    with pytest.raises(PluginError, match=r"Change \[order\] rate_check in the settings"):
        Pipeline(as_loaded(SIX), order={"rate_check": ["rate-limit", "failure-breaker"]})


@pytest.mark.parametrize("table", ["order", "step_timeouts"])
def test_settings_that_name_no_hook_are_refused(table: str) -> None:
    """The message lists the hooks."""
    with pytest.raises(PluginError, match=rf"\[{table}\] in the settings names rate_chek.*The hooks are: provide, "):
        Pipeline([], **{table: {"rate_chek": [] if table == "order" else 1.0}})


def test_a_plugin_that_cannot_be_made_is_refused() -> None:
    """An error of its constructor names it."""

    def broken(self: Plugin, settings: Any) -> None:
        raise OSError("no such device")

    with pytest.raises(PluginError) as caught:
        Pipeline(installed(plugin("metrics-x", __init__=broken)))
    assert caught.value.message == (
        "Plugin metrics-x (distribution localagent-metrics-x 1.2) cannot be created: OSError: no such device."
    )


def test_a_plugin_that_cannot_be_made_has_a_mend() -> None:
    """As every error about a plugin."""

    def broken(self: Plugin, settings: Any) -> None:
        raise OSError("no such device")

    with pytest.raises(PluginError) as caught:
        Pipeline(installed(plugin("metrics-x", __init__=broken)))
    assert caught.value.hint


def test_a_step_for_an_unknown_operation_is_refused() -> None:
    """It would never be active, and nobody would know why."""
    assert "chatt" in refused(plugin("guard-x", pre_request=step("pre_request", operations="chatt")))


# Arguments ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("wanted", [(), ("request",), ("call",), ("request", "call"), ("call", "request")], ids=str)
async def test_a_step_takes_the_arguments_that_it_names(wanted: tuple[str, ...], awaits: bool) -> None:
    """Any subset, in any order, by name."""
    result = "".join(f"{name}, " for name in wanted)
    space: dict[str, Any] = {}
    exec(f"{'async ' if awaits else ''}def pre_request(self, {result}): return ({result})", space)
    kind = plugin("guard-x", pre_request=hookimpl(space["pre_request"]))
    (only,) = Pipeline(as_loaded([kind])).plan("chat").pre_request
    got = only.call("the call", "the request")
    assert (await got if awaits else got) == tuple(f"the {name}" for name in wanted)


# Hooks that plugins bring ---------------------------------------------------------------------------------------------


@hook(Kind.COLLECT, phase="start", sync=True)
def gateway_add_routes() -> Any: ...


@hook(Kind.FIRST, phase="request", on_raise=OnRaise.SKIP, limit=1.0, result=(str,))
async def gateway_authenticate(token: str) -> str | None: ...


@hook(Kind.PIPE, phase="request", result=(str,))
async def gateway_rewrite(token: str, text: str) -> str | None: ...


@hook(Kind.NOTIFY, phase="end", on_raise=OnRaise.ISOLATE)
async def gateway_served(token: str) -> None: ...


BROUGHT = SimpleNamespace(**{
    spec.__name__: spec for spec in (gateway_add_routes, gateway_authenticate, gateway_rewrite, gateway_served)
})  # fmt: skip


class Gateway(Plugin):
    name = "gateway"
    hookspecs = BROUGHT


class Guest(Plugin):
    name = "request-guest"

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> list[str]:
        return ["/x"]

    @hookimpl(of="gateway")
    async def gateway_authenticate(self, token: str) -> str | None:
        if token == "bad":
            raise ValueError
        return f"user of {token}" if token else None

    @hookimpl(of="gateway")
    async def gateway_rewrite(self, text: str) -> str:
        return text.upper()

    @hookimpl(of="gateway")
    async def gateway_served(self, token: str) -> None:
        raise ValueError


async def test_a_plugin_brings_hooks_of_its_own() -> None:
    """Others implement them; the bringer calls them, by their kind, through the core."""
    pipeline, loop = Pipeline(as_loaded([Gateway, Guest])), asyncio.get_running_loop()
    assert pipeline.caller("gateway_add_routes", loop)() == [["/x"]]
    authenticate = pipeline.caller("gateway_authenticate", loop)
    assert [await authenticate("t"), await authenticate(""), await authenticate("bad")] == ["user of t", None, None]
    assert await pipeline.caller("gateway_rewrite", loop)("t", "text") == "TEXT"
    await pipeline.caller("gateway_served", loop)("t")
    assert set(pipeline.failures.counts) == {
        ("request-guest", "gateway_authenticate"),
        ("request-guest", "gateway_served"),
    }


def test_steps_of_a_plugin_that_is_not_there_are_idle() -> None:
    """An implementation that says whose hook it is for is no mistake where that plugin is missing."""
    pipeline = Pipeline(as_loaded([Guest]))
    assert "gateway_add_routes" not in pipeline.steps


def test_brought_hooks_are_named_after_their_plugin() -> None:
    """So that two plugins cannot bring hooks of one name."""
    message = refused(type("Other", (Gateway,), {"name": "serve"}))
    assert "must be named serve_..." in message


# Recording ------------------------------------------------------------------------------------------------------------


async def test_a_recording_plan_writes_what_each_step_decides() -> None:
    """Hook, plugin, decision and cost of every step; errors are noted and passed on."""

    async def pre_request(self: Plugin, request: Any) -> Any:
        if request.get("seed"):
            raise InternalError("no")
        return request.replace(seed=1)

    kind = plugin("guard-x", pre_request=hookimpl(pre_request), select_instance=step("select_instance"))
    plan = Pipeline(as_loaded([kind])).plan("chat", recording=True)
    async with FakeCore() as core:
        call = core.call()
        call.records = StepRecords(core.clock)
        (guard,), (select,) = plan.pre_request, plan.select_instance
        changed = await guard.call(call, call.request)
        with pytest.raises(InternalError):
            await guard.call(call, changed)
        select.call(call, ())
    assert [(record.hook, record.plugin, record.decision) for record in call.records] == [
        ("pre_request", "guard-x", "ChatRequest"),
        ("pre_request", "guard-x", "raised internal_error"),
        ("select_instance", "guard-x", "-"),
    ]
    assert all(re.fullmatch(r"\d+\.\d+", str(record.microseconds)) for record in call.records)
