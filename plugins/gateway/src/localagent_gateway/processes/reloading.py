"""What an operator asks of a gateway that serves: to read the settings again, to replace its workers."""

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
    """Answer by a new pipeline; plugins that can be moved live on in it.

    Args:
        worker: The worker.
        configuration: What it is to serve.

    Raises:
        LocalAgentError: The new pipeline cannot be opened, or not in time; the one before goes on.
    """
    client = configuration.client(replaces=worker.client)
    seconds = configuration.gateway.start_timeout
    try:
        async with asyncio.timeout(seconds):
            await client.runtime()
        await worker.switch(client, configuration.gateway)
    except TimeoutError:
        await client.aclose()
        raise StartError(f"The new pipeline was not open within {seconds:g} s.",
                         hint="Raise start_timeout in [plugins.gateway], if it needs longer.") from None  # fmt: skip
    except BaseException:
        await client.aclose()
        raise


@contextlib.asynccontextmanager
async def acting_on(event: asyncio.Event, act: Act, *, done: str, failed: str) -> AsyncIterator[None]:
    """Act whenever the event is set, one after the other, and log what came of it.

    Args:
        event: Set by a signal.
        act: Does all of it or nothing; what it did in part it says with ``PartlyDone``.
        done: What is logged afterwards.
        failed: What is logged when nothing was done; the reason follows.
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
        except Exception as error:  # the code of plugins; the server must go on
            log.warning("%s: %s.", failed, raised_at(error))
        else:
            log.warning("%s", done)


@contextlib.contextmanager
def partly(number: int, done: str, failed: str) -> Iterator[None]:
    """Say what becomes of workers when one cannot follow those before it.

    Args:
        number: Its number; those before it are done.
        done: What is reported about them.
        failed: What is reported about this one.

    Raises:
        PartlyDone: In the place of what was raised, unless it is the first.
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
    "failed": "The settings were not read again, those before stay in force",
}
REPLACED = {"done": "The workers were replaced.", "failed": "No worker was replaced"}
