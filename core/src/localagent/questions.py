"""Questions to instances that cost nothing: whether they are well, and which models they offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from localagent.guard import clock_error_for, failure_of
from localagent.timer import Timer, Watch

if TYPE_CHECKING:
    from localagent.instances import Instance
    from localagent.providers import Provider
    from localagent.runtime import Runtime
    from localagent.transport import Transport

T = TypeVar("T")
Question = Callable[["Provider", "Instance", "Transport", Watch], Awaitable[T]]


async def ask_instance(core: Runtime, instance: Instance, seconds: float, question: Question[T]) -> T:
    """Ask an instance something outside of any call.

    Args:
        core: The running core.
        instance: The instance; its provider is opened first, if need be.
        seconds: How long the answer may take.
        question: Asks: given the provider, the instance, its transport, and what says which phase begins.

    Raises:
        LocalAgentError: It did not answer.
    """
    source = core.provider_of(instance)
    timer = Timer(core.loop, core.clock() + seconds, core.wheel)
    timer.enter()
    try:
        await source.open()
        transport = await core.connect(instance)
        clocks = Watch(timer, source.common.clocks, streamed=False)
        return await question(source.provider, instance, transport, clocks)
    except BaseException as error:  # the provider's and the transport's code
        failure = failure_of(
            error, timer, f"Provider {instance.provider}", lambda fired: clock_error_for(fired, instance)
        )
        if failure is None or failure is error:
            raise
        raise failure from failure.__cause__
    finally:
        timer.close()
