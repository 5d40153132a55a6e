"""A step, which is one plugin's implementation of a hook, and how it is called. Its errors always name the plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from localagent.errors import InternalError, LocalAgentError
from localagent.pipeline.guard import cancellation_error, defect
from localagent.plugin_api.kinds import OPERATIONS, HookSpec

if TYPE_CHECKING:
    from localagent.pipeline.failures import PluginFailures
    from localagent.timing.timer import Timer

_HINT = "See the log with --debug, or remove the plugin."


@attrs.define(eq=False)
class Step:
    """One plugin's implementation of a hook, ready to be called.

    Attributes:
        call: Takes the hook's arguments by position.
        plugin: The plugin's name.
        spec: The hook.
        awaits: Whether ``call`` returns an awaitable.
        limit: Seconds that it may take, if it is asynchronous.
        why: The reason for its position.
        failures: Counts failures of NOTIFY steps and of skipped steps, by plugin and hook; ``doctor`` shows them.
        operations: The operations for which it is called.
    """

    call: Callable[..., Any]
    plugin: str
    spec: HookSpec
    awaits: bool
    limit: float
    why: str
    failures: PluginFailures
    operations: tuple[str, ...] = OPERATIONS

    def wrap_error(self, error: BaseException) -> LocalAgentError:
        """Return the typed error for an exception of the step."""
        if isinstance(error, LocalAgentError):
            return error
        return defect(error, f"Plugin {self.plugin}", f" in {self.spec.name}", _HINT)

    def timeout_error(self) -> LocalAgentError:
        """Return the error for a step that took too long."""
        return InternalError(
            f"Plugin {self.plugin} took longer than {self.limit:g} s in {self.spec.name}.",
            hint=f"Raise [step_timeouts] {self.spec.name} in the settings, or remove the plugin.",
        )

    def check(self, result: Any) -> Any:
        """Return the step's result if it has the hook's type.

        Raises:
            InternalError: It has another type; the error names the plugin.
        """
        if result is None or not self.spec.result or isinstance(result, self.spec.result):
            return result
        expected = " or ".join(kind.__name__ for kind in self.spec.result)
        if hasattr(result, "close") and asyncio.iscoroutine(result):
            result.close()
        raise InternalError(
            f"Plugin {self.plugin} returned {type(result).__name__} from {self.spec.name}; expected {expected} or None."
        )


async def ask(step: Step, timer: Timer, *arguments: Any) -> Any:
    """Call one step within its time limit, and check its result.

    For a step that awaits nothing, the limit and this coroutine cost 0.6 to 0.9 us per call. Driving its coroutine by
    hand up to the first wait saved that, but cost every other step more: 0.3 us for a synchronous one, 1.2 us for one
    that waits (CPU time, medians of five interleaved runs, CPython 3.11). ``nox -s bench -- --only steps`` measures it.

    Raises:
        LocalAgentError: The step's own error, or the error for its exception, timeout or wrong result.
    """
    if not step.awaits:
        return ask_now(step, *arguments)
    timer.watch(step.limit, step)
    try:
        return step.check(await step.call(*arguments))
    except LocalAgentError:
        raise
    except asyncio.CancelledError:
        # A cancellation of the task continues; one by the timer is a timeout; any other one is a failure of the plugin.
        error = cancellation_error(timer, f"Plugin {step.plugin}", f" in {step.spec.name}")
        if error is None:
            raise
        raise error from None
    except Exception as error:  # the plugin's code
        raise step.wrap_error(error) from error
    finally:
        timer.deadline_only()


def ask_now(step: Step, *arguments: Any) -> Any:
    """Call one synchronous step and check its result; errors as in ``ask``."""
    try:
        return step.check(step.call(*arguments))
    except LocalAgentError:
        raise
    except (Exception, asyncio.CancelledError) as error:  # the plugin's code; no other code can cancel a plain function
        raise step.wrap_error(error) from error
