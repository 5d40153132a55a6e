"""Sends one request through a transport, with the timeouts that the core would apply."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from localagent import HttpAnswer, Instance, LocalAgentError, Transport
from localagent.records import PoolProfile, SizeLimits
from localagent.timing import NEVER, PhaseTimer, Timeouts, Timer
from localagent_testing.contracts.base import Contract

__all__ = ["BODY", "CAPS", "HERE", "POOL", "MakesTransports", "exchange", "fetch", "nobody_listens"]

HERE = Instance("here", "here", "here", "http://here.invalid")
NO_HEADERS: Mapping[str, str] = {}
BODY = b'{"model": "m"}'
POOL = PoolProfile()
CAPS = SizeLimits()


class MakesTransports(Contract):
    """The part that the author of a transport writes."""

    def transport(
        self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
    ) -> AbstractAsyncContextManager[Transport]:
        """Make a transport for one instance; leaving the context closes it with all its connections.

        Args:
            pool: How connections are kept.
            size_limits: Size limits of answers.
        """
        raise NotImplementedError("Write: @asynccontextmanager async def transport(self, *, pool, size_limits)")


@asynccontextmanager
async def exchange(
    transport: Transport,
    url: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] = NO_HEADERS,
    body: bytes | None = BODY,
    timeouts: Timeouts | None = None,
    fresh: bool = False,
) -> AsyncIterator[HttpAnswer]:
    """Send a request and yield its answer, which is closed at the end.

    Args:
        transport: The transport that sends.
        url: The whole address.
        method: The method.
        headers: The headers.
        body: The body, or None.
        timeouts: Timeouts; None means the defaults.
        fresh: Whether it must use a new connection.

    Raises:
        LocalAgentError: The transport's own error, or that of the timeout that expired.
    """
    timer = Timer(asyncio.get_running_loop(), NEVER)
    timer.enter()
    try:
        phases = PhaseTimer(timer, timeouts or Timeouts(), HERE.id, streamed=True)
        phases.fresh = fresh
        answer = await transport.send(method, url, headers, body, phases)
    except asyncio.CancelledError:
        found = timer.classify_cancellation()
        if isinstance(found, LocalAgentError):
            raise found from None
        raise
    finally:
        timer.close()
    try:
        yield answer
    finally:
        await answer.aclose()


async def fetch(
    transport: Transport, url: str, *, method: str = "POST", body: bytes | None = BODY, fresh: bool = False
) -> bytes:
    """Send a request, read the whole answer and return its body."""
    async with exchange(transport, url, method=method, body=body, fresh=fresh) as answer:
        return await answer.read()


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Yield an address at which connections are refused: its port is reserved, and nothing listens there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
