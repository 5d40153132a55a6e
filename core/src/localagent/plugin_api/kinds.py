"""The two decorators of the plugin system: ``hook`` makes a specification, ``hookimpl`` an implementation.

pluggy keeps the registry and checks names and signatures. Everything else that a hook needs (its kind, whether it may
await, what a raise means, how long a step may take) is in the ``HookSpec`` that ``hook`` attaches to the function:
dispatcher, reference page and tests all read that one object.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, overload

import attrs
import pluggy

PROJECT = "localagent"
SPEC_ATTRIBUTE = "hook_spec"
IMPL_ATTRIBUTE = "hook_impl"

F = TypeVar("F", bound=Callable[..., Any])


class Kind(enum.Enum):
    """How the answers of a hook's steps become one."""

    PIPE = "each step gets the result of the one before; None means unchanged"
    FIRST = "the first result that is not None counts; later steps are not asked"
    GATE = "the steps are asked until one refuses"
    NOTIFY = "all steps are called; their results are ignored"
    CHAIN = "one object per consumer and step; each passes its output to the next"
    COLLECT = "all results are collected in a list, once"


class OnRaise(enum.Enum):
    """What a step that raises, or takes longer than its limit, does to the work in hand."""

    CALL = "ends the call"
    ATTEMPT = "ends the attempt; the failure steps are asked"
    SKIP = "the step is skipped, counted and logged"
    ISOLATE = "isolated: counted, logged once a minute, never reaches the user"
    REFUSE = "refused at start, with the plugin's name"


Scope = Literal["process", "instance", "call", "attempt"]
OPERATIONS = ("chat", "complete", "embed")


@attrs.define(eq=False)
class HookSpec:
    """All that code and documentation need to know of a hook; called with a function, it makes it the specification.

    Attributes:
        kind: How answers become one.
        phase: The stage of a request's life that it belongs to, in a few words.
        sync: True when implementations must be plain functions (they run where an await could be cancelled away).
        scope: How often it is asked: per process, instance, call or attempt.
        on_raise: What a raise, or passing the limit, means.
        limit: Seconds that one asynchronous step may take.
        since: The version that brought the hook.
        operations: The operations for which it is asked.
        result: The types that a step may return besides None; empty when results do not count.
        pending: What must come first before a plugin may use the hook; empty for hooks in use.
        name: The function's name.
        arguments: The argument names, in order.
        function: The specification itself; its docstring is the contract.
    """

    kind: Kind
    phase: str
    sync: bool = False
    scope: Scope = "call"
    on_raise: OnRaise = OnRaise.CALL
    limit: float = 5.0
    since: str = "0.1"
    operations: tuple[str, ...] = OPERATIONS
    result: tuple[type, ...] = ()
    pending: str = ""
    name: str = attrs.field(init=False)
    arguments: tuple[str, ...] = attrs.field(init=False)
    function: Callable[..., Any] = attrs.field(init=False)

    def __call__(self, function: F) -> F:
        """Make a function the specification of this hook."""
        self.name, self.function = function.__name__, function
        self.arguments = tuple(inspect.signature(function).parameters)
        setattr(function, SPEC_ATTRIBUTE, self)
        return pluggy.HookspecMarker(PROJECT)(function)


hook = HookSpec
"""Makes a function the specification of a hook: ``@hook(Kind.FIRST, phase="request")``."""


@attrs.frozen
class HookImpl:
    """What an implementation says about itself.

    Attributes:
        before: Plugins or roles before which this step runs; names that are not active are ignored, ``*`` means
            all others.
        after: Plugins or roles after which it runs.
        must: True when settings may not override ``before`` and ``after``.
        operations: The operations for which it is active; None means all that the hook knows.
        of: The plugin that brings the hook's specification, for hooks that are not the core's own.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    must: bool = False
    operations: tuple[str, ...] | None = None
    of: str | None = None


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@overload
def hookimpl(function: F, /) -> F: ...


@overload
def hookimpl(
    *,
    before: str | Iterable[str] = (),
    after: str | Iterable[str] = (),
    must: bool = False,
    operations: str | Iterable[str] | None = None,
    of: str | None = None,
) -> Callable[[F], F]: ...


def hookimpl(
    function: F | None = None,
    /,
    *,
    before: str | Iterable[str] = (),
    after: str | Iterable[str] = (),
    must: bool = False,
    operations: str | Iterable[str] | None = None,
    of: str | None = None,
) -> F | Callable[[F], F]:
    """Mark a method of a plugin as the implementation of the hook of the same name.

    An implementation takes the arguments that it needs, by name, without default values.

    Example:
        from localagent import Call, Metric, Plugin, hookimpl

        class Printer(Plugin):
            name = "metrics-printer"

            @hookimpl(after="*")
            def record_metric(self, call: Call, metric: Metric) -> None:
                print(call.id, metric.status)

    Args:
        function: The method, when the decorator is used without arguments.
        before: Plugins or roles before which this step runs; ``*`` means all others.
        after: Plugins or roles after which it runs; ``*`` means all others.
        must: The settings may not override ``before`` and ``after``.
        operations: The only operations for which it is active: "chat", "complete", "embed".
        of: The plugin that brings the hook, if it is not a hook of the core.

    Since: 0.1
    """
    narrowed = None if operations is None else _names(operations)
    impl = HookImpl(_names(before), _names(after), must, narrowed, of)
    # A hook of another plugin is unknown to pluggy until its bringer is active, so it must not be an error by itself.
    mark = pluggy.HookimplMarker(PROJECT)(optionalhook=of is not None)

    def decorate(method: F) -> F:
        setattr(method, IMPL_ATTRIBUTE, impl)
        return mark(method)

    return decorate if function is None else decorate(function)
