"""Orders of an operator to a running gateway: read the settings again, replace the workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from localagent.errors import LocalAgentError, StartError
from localagent.supervision import raised_at
from localagent_gateway.errors import PartlyDone
from localagent_gateway.processes.configuration import Configuration
from localagent_gateway.processes.worker import Worker

log = logging.getLogger("localagent.gateway")

Act = Callable[[], Awaitable[None]]


async def reload(worker: Worker, configuration: Configuration) -> None:
    """Switch a worker to a new pipeline; plugins that survive a reload continue in it.

    Args:
        worker: The worker.
        configuration: The new configuration.

    Raises:
        LocalAgentError: The new pipeline cannot be opened, or not in time; the old one stays in service.
    """
    client = configuration.client(replaces=worker.client)
    seconds = configuration.gateway.start_timeout
    try:
        async with asyncio.timeout(seconds):
            await client.runtime()
        await worker.switch(client, configuration.gateway)
    except TimeoutError:
        await client.aclose()
        raise StartError(f"The new pipeline did not open within {seconds:g} s.",
                         hint="Raise start_timeout in [plugins.gateway] if it needs longer.") from None  # fmt: skip
    except BaseException:
        await client.aclose()
        raise


@contextlib.asynccontextmanager
async def acting_on(event: asyncio.Event, act: Act, *, done: str, failed: str) -> AsyncIterator[None]:
    """Act whenever the event is set, one action at a time, and log the outcome.

    Args:
        event: Set by a signal.
        act: Does everything or nothing; raises ``PartlyDone`` if it did only a part.
        done: The message to log on success.
        failed: The message to log when nothing was done; the reason follows.
    """
    task = asyncio.create_task(_act(event, act, done, failed), name="obey a signal")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _act(event: asyncio.Event, act: Act, done: str, failed: str) -> None:
    while True:
        await event.wait()
        event.clear()
        try:
            await act()
        except PartlyDone as error:
            log.warning("%s", error)
        except LocalAgentError as error:
            log.warning("%s: %s", failed, error)
        except Exception as error:  # an error of a plugin; the server must keep running
            log.warning("%s: %s.", failed, raised_at(error))
        else:
            log.warning("%s", done)


@contextlib.contextmanager
def partly(number: int, done: str, failed: str) -> Iterator[None]:
    """Report which workers were changed when one of them fails.

    Args:
        number: The worker's number; the workers before it were changed.
        done: The words for those workers.
        failed: The words for this worker.

    Raises:
        PartlyDone: Replaces the error, unless this is the first worker.
    """
    try:
        yield
    except LocalAgentError as error:
        if number == 1:
            raise
        others = "worker 1" if number == 2 else f"workers 1 to {number - 1}"
        raise PartlyDone(f"{done} {others}; worker {number} {failed}: {error.message}", hint=error.hint) from error


RELOADED = {
    "done": "The settings were read again.",
    "failed": "The settings were not read again; the previous ones stay in force",
}
REPLACED = {"done": "The workers were replaced.", "failed": "No worker was replaced"}
