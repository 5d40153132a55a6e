"""The two decorators of the plugin system: ``hook`` marks a specification, ``hookimpl`` an implementation.

pluggy keeps the registry and checks names and signatures. All other properties of a hook (its kind, whether it may
await, what an exception means, how long a step may take) are in the ``HookSpec`` that ``hook`` attaches to the
function. Dispatcher, reference page and tests all read that object.
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
    """How the results of a hook's steps are combined."""

    PIPE = "each step receives the result of the previous one; None means unchanged"
    FIRST = "the first result that is not None; later steps are not called"
    GATE = "steps are called until one refuses"
    NOTIFY = "all steps are called; results are ignored"
    CHAIN = "objects, one per consumer, in order; each one feeds the next"
    COLLECT = "the list of all results, collected once"


class OnRaise(enum.Enum):
    """What happens when a step raises an exception or exceeds its time limit."""

    CALL = "ends the call"
    ATTEMPT = "ends the attempt; on_failure is called"
    SKIP = "the step is skipped; the failure is counted and logged"
    ISOLATE = "isolated: counted, logged once a minute, never passed to the user"
    REFUSE = "the client does not start; the error names the plugin"


Scope = Literal["process", "instance", "call", "attempt"]
OPERATIONS = ("chat", "complete", "embed")


@attrs.define(eq=False)
class HookSpec:
    """The properties of a hook, and a decorator that makes a function the specification of the hook.

    Attributes:
        kind: How results are combined.
        phase: The stage of a request's life that it belongs to, in a few words.
        sync: Whether implementations must be plain functions, because they run where an await could be cancelled.
        scope: What it is called for: the process, an instance, a call or an attempt.
        on_raise: What happens when a step raises an exception or exceeds the limit.
        limit: Seconds that one asynchronous step may take.
        since: The version that introduced the hook.
        operations: The operations for which it is called.
        result: The types that a step may return besides None; empty if results are ignored.
        pending: The missing feature that plugins must wait for before they can use the hook; empty for hooks in use.
        name: The function's name.
        arguments: The argument names, in order.
        function: The specification; its docstring is the contract.
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
"""Decorator that makes a function the specification of a hook: ``@hook(Kind.FIRST, phase="request")``."""


@attrs.frozen
class HookImpl:
    """The arguments of ``hookimpl`` for one implementation.

    Attributes:
        before: Plugins or roles that this step must precede; names that are not active are ignored, ``*`` means all
            others.
        after: Plugins or roles that this step must follow.
        must: True if the settings may not override ``before`` and ``after``.
        operations: The operations for which it is active; None means all operations of the hook.
        of: The plugin that defines the hook, if the core does not.
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

    An implementation takes the arguments that it needs, by name. They must not have default values.

    Args:
        function: The method, if the decorator is used without arguments.
        before: One or more plugins or roles that this step must precede; ``*`` means all others.
        after: One or more plugins or roles that this step must follow; ``*`` means all others.
        must: Whether ``before`` and ``after`` take precedence over the order in the settings.
        operations: The operations for which it is active: "chat", "complete" or "embed"; None means all.
        of: The plugin that defines the hook, if the core does not.

    Example:
        ::

            class Brief(localagent.Plugin):
                name = "guard-brief"

                @localagent.hookimpl(operations="chat", before="guard")
                def pre_request(self, request):
                    return request.replace(max_tokens=100)

    Since: 0.1.
    """
    narrowed = None if operations is None else _names(operations)
    impl = HookImpl(_names(before), _names(after), must, narrowed, of)
    # pluggy does not know a hook of another plugin until that plugin is active, so it must not be an error by itself.
    mark = pluggy.HookimplMarker(PROJECT)(optionalhook=of is not None)

    def decorate(method: F) -> F:
        setattr(method, IMPL_ATTRIBUTE, impl)
        return mark(method)

    return decorate if function is None else decorate(function)
