"""A pipeline owns the plugins and compiles their hooks into plans.

pluggy keeps the registry and validates names and signatures. Its errors are rewritten here with plugin, distribution
and hint. Calls of compiled steps do not use pluggy.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pluggy

from localagent.errors import PluginError
from localagent.hooks import hookspecs
from localagent.pipeline.dispatch import caller
from localagent.pipeline.failures import PluginFailures
from localagent.pipeline.ordering import order_steps
from localagent.pipeline.plan import CALL_HOOKS, Plan
from localagent.pipeline.recording import recorded
from localagent.pipeline.steps import Step
from localagent.plugin_api.discovery import Loaded, make_plugin
from localagent.plugin_api.kinds import IMPL_ATTRIBUTE, PROJECT, SPEC_ATTRIBUTE, HookImpl, HookSpec
from localagent.plugin_api.plugin import Plugin, PluginSource

__all__ = ["Pipeline", "core_specs"]


def core_specs() -> dict[str, HookSpec]:
    """Return the core's hook specifications by name, in the order of a request's life."""
    return _specs_in(hookspecs)


def _specs_in(holder: Any) -> dict[str, HookSpec]:
    specs = (getattr(value, SPEC_ATTRIBUTE, None) for value in vars(holder).values())
    return {spec.name: spec for spec in specs if isinstance(spec, HookSpec)}


class Pipeline:
    """The plugins, and the plans compiled from them.

    Args:
        loaded: The selected plugins.
        settings: The filled settings object of each plugin, by name; a missing one means the defaults.
        order: ``[order]`` of the settings: plugin names by hook.
        step_timeouts: ``[step_timeouts]`` of the settings: seconds by hook, for asynchronous steps.
        clock: Returns monotonic seconds; limits how often failures are logged.
        moved: Existing plugins that are used as they are, by name.

    Raises:
        PluginError: A plugin does not match its hooks, or the order is contradictory.
    """

    def __init__(
        self,
        loaded: Sequence[Loaded],
        settings: Mapping[str, Any] | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
        step_timeouts: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        moved: Mapping[str, Plugin] | None = None,
    ) -> None:
        settings = settings or {}
        moved = moved or {}
        self.failures = PluginFailures(clock)
        self.reports = {item.name: item.report for item in loaded}
        self.sources: dict[str, PluginSource] = {item.name: item.source for item in loaded}
        self.plugins: dict[str, Plugin] = {
            item.name: moved[item.name] if item.name in moved else make_plugin(item, settings.get(item.name))
            for item in sorted(loaded, key=lambda item: item.name)
        }
        self._order = dict(order or {})
        self._step_timeouts = dict(step_timeouts or {})
        self._manager = pluggy.PluginManager(PROJECT)
        self.specs = self._add_specs()
        self._check_named_hooks()
        self._register()
        self.steps: dict[str, tuple[Step, ...]] = {name: self._steps(spec) for name, spec in self.specs.items()}
        self._plans: dict[tuple[str, bool, frozenset[str]], Plan] = {}

    def plan(self, operation: str, *, recording: bool = False, without: frozenset[str] = frozenset()) -> Plan:
        """Return the plan of an operation; it is compiled once.

        Args:
            operation: chat, complete or embed.
            recording: Whether every step also writes its decision and its duration to ``call.records``.
            without: Plugins whose steps are skipped.
        """
        key = (operation, recording, without)
        plan = self._plans.get(key)
        if plan is None:
            made = self._make_plan(operation, without)
            plan = self._plans[key] = made.mapped(recorded) if recording else made
        return plan

    def caller(self, name: str, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        """Return a function that calls a hook which a plugin defines; it is async unless the hook is sync."""
        return caller(self.specs[name], self.steps[name], loop)

    def _make_plan(self, operation: str, without: frozenset[str]) -> Plan:
        steps = {
            name: tuple(
                step for step in self.steps[name] if step.plugin not in without and operation in step.operations
            )
            for name in CALL_HOOKS
        }
        needs_usage = any(plugin.needs_usage for name, plugin in self.plugins.items() if name not in without)
        return Plan(operation, **steps, needs_usage=needs_usage)

    def _add_specs(self) -> dict[str, HookSpec]:
        self._manager.add_hookspecs(hookspecs)
        specs = core_specs()
        for name, plugin in self.plugins.items():
            if plugin.hookspecs is None:
                continue
            brought = _specs_in(plugin.hookspecs)
            prefix = name.replace("-", "_") + "_"
            for hook in brought:
                if not hook.startswith(prefix):
                    raise self._error(name, f"its hook {hook} must be named {prefix}...")
            self._manager.add_hookspecs(plugin.hookspecs)
            specs.update(brought)
        return specs

    def _check_named_hooks(self) -> None:
        for table, names in (("order", self._order), ("step_timeouts", self._step_timeouts)):
            for name in names:
                if name not in self.specs:
                    raise PluginError(
                        f"[{table}] in the settings names {name}, which is not a hook.",
                        hint=f"The hooks are: {', '.join(self.specs)}.",
                    )

    def _register(self) -> None:
        for name, plugin in self.plugins.items():
            self._check_marks(name, plugin)
            try:
                self._manager.register(plugin, name)
            except pluggy.PluginValidationError as error:
                raise self._error(name, _reason(error, self.specs)) from error

    def _check_marks(self, name: str, plugin: Plugin) -> None:
        for attribute in dir(type(plugin)):
            method = getattr(type(plugin), attribute)
            marks = getattr(method, IMPL_ATTRIBUTE, None)
            if marks is None:
                if isinstance(getattr(method, PROJECT + "_impl", None), dict):
                    raise self._error(name, f"{attribute} is marked with pluggy's own marker; use localagent.hookimpl")
                continue
            spec = self.specs.get(attribute)
            if spec is None and marks.of is None:
                raise self._error(name, f"there is no hook named {attribute}")
            if spec is not None:
                self._check_method(name, method, marks, spec)

    def _check_method(self, name: str, method: Callable[..., Any], marks: HookImpl, spec: HookSpec) -> None:
        unknown = [name for name in marks.operations or () if name not in spec.operations]
        if unknown:
            offered = ", ".join(spec.operations)
            raise self._error(name, f"{spec.name} names the operation {unknown[0]}; operations are: {offered}")
        if spec.pending:
            raise self._error(name, f"it uses {spec.name}, but {spec.pending} are not supported by this version")
        if spec.sync and inspect.iscoroutinefunction(method):
            raise self._error(name, f"{spec.name} must be a plain function: it runs where an await could be cancelled")
        for parameter in inspect.signature(method).parameters.values():
            if parameter.default is not parameter.empty:
                raise self._error(
                    name, f"{spec.name} gives {parameter.name} a default value; pluggy would never pass it"
                )

    def _steps(self, spec: HookSpec) -> tuple[Step, ...]:
        found = {impl.plugin_name: impl for impl in getattr(self._manager.hook, spec.name).get_hookimpls()}
        marks: dict[str, HookImpl] = {name: getattr(impl.function, IMPL_ATTRIBUTE) for name, impl in found.items()}
        placed = order_steps(marks, self._order.get(spec.name, ()), spec.name)
        return tuple(
            Step(
                call=_adapted(found[name].function, found[name].argnames, spec.arguments),
                plugin=name,
                spec=spec,
                awaits=inspect.iscoroutinefunction(found[name].function),
                limit=self._step_timeouts.get(spec.name, spec.limit),
                why=why,
                failures=self.failures,
                operations=spec.operations if (narrowed := marks[name].operations) is None else narrowed,
            )
            for name, why in placed.items()
        )

    def _error(self, name: str, reason: str) -> PluginError:
        return PluginError(
            f"Plugin {self.reports[name]} cannot be used: {reason}.",
            hint="Upgrade it, or remove it from the settings (see: localagent plugins), or report this to its author.",
        )


def _reason(error: pluggy.PluginValidationError, specs: Mapping[str, HookSpec]) -> str:
    text = str(error)
    for name, spec in specs.items():
        if f"hook {name!r}" in text:
            takes = ", ".join(spec.arguments) or "nothing"
            return f"{name} takes other arguments than the hook offers ({takes})"
    return text.splitlines()[-1]


def _adapted(function: Callable[..., Any], wanted: tuple[str, ...], offered: tuple[str, ...]) -> Callable[..., Any]:
    """Return a callable that takes all offered arguments by position and passes on the wanted ones."""
    if wanted == offered:
        return function
    places = tuple(offered.index(name) for name in wanted)
    return lambda *arguments: function(*[arguments[place] for place in places])
