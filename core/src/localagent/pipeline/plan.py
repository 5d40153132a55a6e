"""The compiled order of all steps for one operation, and the ways in which the answers of a hook become one.

pluggy registers and checks; it never calls. With asynchronous implementations its ``firstresult`` stops at the first
coroutine and its wrappers finish before the work starts. So a pipeline reads the implementations once, and a ``Plan``
holds frozen tuples of plain callables.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from localagent.errors import InternalError, LocalAgentError
from localagent.pipeline.guard import cancellation_error, defect
from localagent.plugin_api.kinds import OPERATIONS, HookSpec, Kind, OnRaise
from localagent.timing.timer import NEVER, Timer

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Troubles

T = TypeVar("T")

_MEND = "See the log with --debug, or leave the plugin out."


@attrs.define(eq=False)
class Step:
    """One plugin's implementation of a hook, ready to be called.

    Attributes:
        call: Takes the hook's arguments by position.
        plugin: The plugin's name.
        spec: The hook.
        awaits: Whether ``call`` returns an awaitable.
        limit: Seconds that it may take, when it awaits.
        why: Why it stands where it stands.
        troubles: Counts failures of NOTIFY and skipped steps, by plugin and hook; ``doctor`` shows them.
        operations: The operations for which it is asked.
    """

    call: Callable[..., Any]
    plugin: str
    spec: HookSpec
    awaits: bool
    limit: float
    why: str
    troubles: Troubles
    operations: tuple[str, ...] = OPERATIONS

    def wrap_error(self, error: BaseException) -> LocalAgentError:
        """Return the error that a step's own exception becomes."""
        if isinstance(error, LocalAgentError):
            return error
        return defect(error, f"Plugin {self.plugin}", f" in {self.spec.name}", _MEND)

    def timeout_error(self) -> LocalAgentError:
        """Return the error of a step that took too long."""
        return InternalError(
            f"Plugin {self.plugin} took longer than {self.limit:g} s in {self.spec.name}.",
            mend=f"Raise [limits] {self.spec.name} in the settings, or leave the plugin out.",
        )

    def check(self, result: Any) -> Any:
        """Return a step's result if it is of the hook's type.

        Raises:
            InternalError: It is not; the plugin is named.
        """
        if result is None or not self.spec.result or isinstance(result, self.spec.result):
            return result
        expected = " or ".join(kind.__name__ for kind in self.spec.result)
        if hasattr(result, "close") and asyncio.iscoroutine(result):
            result.close()
        raise InternalError(
            f"Plugin {self.plugin} returned {type(result).__name__} from {self.spec.name}; expected {expected} or None."
        )


@attrs.define(eq=False)
class Waiting:
    """A step that was begun and waits for something; ``rest`` goes on with it."""

    step: Step
    work: Coroutine[Any, Any, Any]
    waits_for: Any


def begin(step: Step, timer: Timer, *arguments: Any) -> Any:
    """Call one step; return its checked result, or ``Waiting`` when it waits for something.

    A plain function, since most steps do not wait: it costs them no coroutine and touches no timer.

    Raises:
        LocalAgentError: The step's own, or what its exception or its wrong result become.
    """
    if not step.awaits:
        return tell(step, *arguments)
    work = step.call(*arguments)
    try:
        return Waiting(step, work, work.send(None))
    except StopIteration as done:
        result = done.value
    except LocalAgentError:
        raise
    except asyncio.CancelledError as error:
        raise _cancelled(step, timer, error) from None
    except Exception as error:  # the plugin's code
        raise step.wrap_error(error) from error
    return step.check(result)


async def rest(waiting: Waiting, timer: Timer) -> Any:
    """Go on with a step that waits, bounded by its limit, and check its result.

    Raises:
        LocalAgentError: The step's own, or what its exception, its lateness or its wrong result become.
    """
    step = waiting.step
    timer.watch(step.limit, step)
    try:
        return step.check(await _go_on(waiting.work, waiting.waits_for))
    except asyncio.CancelledError as error:
        raise _cancelled(step, timer, error) from None
    except LocalAgentError:
        raise
    except Exception as error:  # the plugin's code
        raise step.wrap_error(error) from error
    finally:
        timer.deadline_only()


async def ask(step: Step, timer: Timer, *arguments: Any) -> Any:
    """Call one step to its end; errors as in ``rest``."""
    result = begin(step, timer, *arguments)
    return await rest(result, timer) if type(result) is Waiting else result


def _cancelled(step: Step, timer: Timer, error: asyncio.CancelledError) -> BaseException:
    """Return what a CancelledError in a step means: somebody else's cancellation, lateness, or the step's own doing."""
    return cancellation_error(timer, f"Plugin {step.plugin}", f" in {step.spec.name}") or error


@types.coroutine
def _go_on(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was begun by hand: what it waits for goes up, what comes down goes to it."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # the event loop's word to the step, a cancellation above all
                waits_for = work.throw(error)
            else:
                waits_for = work.send(sent)
    except StopIteration as done:
        return done.value
    finally:
        work.close()


def tell(step: Step, *arguments: Any) -> Any:
    """Call one synchronous step and check its result; errors as in ``ask``."""
    try:
        return step.check(step.call(*arguments))
    except LocalAgentError:
        raise
    except (Exception, asyncio.CancelledError) as error:  # the plugin's code; nobody can cancel a plain function
        raise step.wrap_error(error) from error


async def pipe(steps: Sequence[Step], timer: Timer, subject: Any, value: T) -> T:
    """PIPE: each step receives what the last returned."""
    for step in steps:
        result = begin(step, timer, subject, value)
        if type(result) is Waiting:
            result = await rest(result, timer)
        if result is not None:
            value = result
    return value


async def first(steps: Sequence[Step], timer: Timer, *arguments: Any) -> tuple[Any, Step | None]:
    """FIRST and GATE: the first result, or refusal, that is not None, with the step that gave it."""
    for step in steps:
        try:
            result = begin(step, timer, *arguments)
            if type(result) is Waiting:
                result = await rest(result, timer)
        except LocalAgentError as error:
            if step.spec.on_raise is not OnRaise.SKIP or timer.expired:
                raise
            step.troubles.note(step, error)
            continue
        if result is not None:
            return result, step
    return None, None


def pipe_now(steps: Sequence[Step], subject: Any, value: Any) -> Any:
    """PIPE of a synchronous hook."""
    for step in steps:
        result = tell(step, subject, value)
        if result is not None:
            value = result
    return value


def first_now(steps: Sequence[Step], *arguments: Any) -> Any:
    """FIRST and GATE of a synchronous hook."""
    for step in steps:
        try:
            result = tell(step, *arguments)
        except LocalAgentError as error:
            if step.spec.on_raise is not OnRaise.SKIP:
                raise
            step.troubles.note(step, error)
            continue
        if result is not None:
            return result
    return None


def notify(steps: Sequence[Step], *arguments: Any) -> None:
    """NOTIFY of a synchronous hook: all are told, whatever one of them does."""
    for step in steps:
        try:
            step.call(*arguments)
        except (Exception, asyncio.CancelledError) as error:  # the plugin's code: isolated by the hook's contract
            step.troubles.note(step, error)


async def notify_all(steps: Sequence[Step], timer: Timer, *arguments: Any) -> None:
    """NOTIFY: all are told, whatever one of them does."""
    for step in steps:
        try:
            await ask(step, timer, *arguments)
        except LocalAgentError as error:
            step.troubles.note(step, error)


def call_hook_now(kind: Kind, steps: Sequence[Step], *arguments: Any) -> Any:
    """Call the steps of a synchronous hook of any kind."""
    if kind is Kind.COLLECT:
        return [result for step in steps if (result := tell(step, *arguments)) is not None]
    ways = {Kind.PIPE: pipe_now, Kind.FIRST: first_now, Kind.GATE: first_now, Kind.NOTIFY: notify}
    return ways[kind](steps, *arguments)


async def call_hook(kind: Kind, steps: Sequence[Step], loop: asyncio.AbstractEventLoop, *arguments: Any) -> Any:
    """Call the steps of a hook of any kind, outside of any call's time."""
    with Timer(loop, NEVER) as timer:
        if kind is Kind.COLLECT:
            results = [await ask(step, timer, *arguments) for step in steps]
            return [result for result in results if result is not None]
        if kind is Kind.NOTIFY:
            return await notify_all(steps, timer, *arguments)
        if kind is Kind.PIPE:
            return await pipe(steps, timer, *arguments)
        return (await first(steps, timer, *arguments))[0]


@attrs.frozen(eq=False)
class Plan:
    """All steps of one operation, in order. An empty tuple costs one truth test.

    Attributes:
        operation: chat, complete or embed.
        needs_usage: Whether some plugin needs token counts, so that streams ask for them.
    """

    operation: str
    pre_request: tuple[Step, ...] = ()
    cache_lookup: tuple[Step, ...] = ()
    select_instance: tuple[Step, ...] = ()
    prepare_attempt: tuple[Step, ...] = ()
    rate_check: tuple[Step, ...] = ()
    hedge_after: tuple[Step, ...] = ()
    check_answer: tuple[Step, ...] = ()
    after_attempt: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    cache_store: tuple[Step, ...] = ()
    wrap_stream: tuple[Step, ...] = ()
    record_metric: tuple[Step, ...] = ()
    needs_usage: bool = False

    def steps(self) -> dict[str, tuple[Step, ...]]:
        """Return the steps by hook, in the order of a request's life."""
        return {name: getattr(self, name) for name in CALL_HOOKS}

    def mapped(self, change: Callable[[Step], Step]) -> Plan:
        """Return a plan whose steps went through ``change``."""
        changed: dict[str, Any] = {name: tuple(map(change, steps)) for name, steps in self.steps().items()}
        return attrs.evolve(self, **changed)


CALL_HOOKS = tuple(field.name for field in attrs.fields(Plan) if field.default == ())
