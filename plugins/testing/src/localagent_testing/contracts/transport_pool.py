"""The contract of transports: connection slots, and when they become free again."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from localagent import LocalAgentError, Transport
from localagent.errors import PoolTimeout
from localagent.records import PoolProfile
from localagent.timing import Timeouts
from localagent_testing.contracts.exchanging import MakesTransports, exchange, fetch, nobody_listens
from localagent_testing.contracts.transport_bodies import SMALL, TEXT, compressed
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import MIB, answer, chunk, head
from localagent_testing.steps import Close, ReadRequest, Reset, Script, Send, Stall

__all__ = ["Pool"]

Use: TypeAlias = Callable[[Transport, str], Awaitable[None]]

ONE = PoolProfile(limit=1)
SOON = Timeouts(pool=0.05)
GOOD = (ReadRequest(), Send(answer(200, b"good")))
HALF = (ReadRequest(), Send(head(200, {"Content-Length": "8"}) + b"half"), Stall())


async def reads(transport: Transport, url: str) -> None:
    """Read the answer."""
    await fetch(transport, url)


async def fails(transport: Transport, url: str) -> None:
    """Read the answer, which is an error."""
    with pytest.raises(LocalAgentError):
        await fetch(transport, url)


async def aborts(transport: Transport, url: str) -> None:
    """Abort the answer, twice, and close it."""
    async with exchange(transport, url) as got:
        await got.read_chunk()
        got.abort()
        got.abort()


async def leaves(transport: Transport, url: str) -> None:
    """Leave the answer unread."""
    async with exchange(transport, url):
        pass


async def cut_short(transport: Transport, url: str) -> None:
    """Read the beginning of the answer."""
    async with exchange(transport, url) as got:
        await got.read(2)


async def is_cancelled(transport: Transport, url: str) -> None:
    """Be cancelled while reading, without closing anything."""
    reading = asyncio.Event()
    task = asyncio.ensure_future(_never_closes(transport, url, reading))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _never_closes(transport: Transport, url: str, reading: asyncio.Event) -> None:
    got = await exchange(transport, url).__aenter__()
    await got.read_chunk()
    reading.set()
    await got.read()


BAD_CHUNK = head(200, {"Transfer-Encoding": "chunked"}) + chunk(b"a") + b"zz"
#: The uses of a slot: how the server answers, and what the user does.
PATHS: list[tuple[str, Script, Use]] = [
    ("read", GOOD, reads),
    ("empty", (ReadRequest(), Send(answer(204, b"", content_type=None, content_length=False))), leaves),
    ("unread", GOOD, leaves),
    ("half read", HALF, cut_short),
    ("aborted", HALF, aborts),
    ("cancelled", HALF, is_cancelled),
    ("cut", (ReadRequest(), Send(head(200, {"Content-Length": "8"}) + b"half"), Close()), fails),
    ("reset", (ReadRequest(), Reset()), fails),
    ("no http", (ReadRequest(), Send(b"what?\r\n\r\n"), Close()), fails),
    ("bad chunk", (ReadRequest(), Send(BAD_CHUNK), Stall()), fails),
    ("too large", (ReadRequest(), Send(answer(200, bytes(2 * MIB)))), fails),
    ("unknown compression", compressed(b"????", "x-unknown"), fails),
    ("broken compression", compressed(b"????"), fails),
    ("cut compression", compressed(gzip.compress(TEXT)[:100]), fails),
]  # fmt: skip


class Pool(MakesTransports):
    """Connection slots of an instance."""

    @pytest.mark.parametrize(("script", "use"), [pytest.param(*path[1:], id=path[0]) for path in PATHS])
    async def test_the_only_slot_comes_back(self, script: Script, use: Use) -> None:
        """However an exchange ends, its slot is free for the next one."""
        async with self.transport(pool=ONE, size_limits=SMALL) as transport:
            for _ in range(2):
                async with FaultServer(script) as server:
                    await use(transport, server.url)
                async with FaultServer(GOOD) as server, exchange(transport, server.url, timeouts=SOON) as got:
                    assert await got.read() == b"good"

    async def test_a_refused_connection_gives_its_slot_back(self) -> None:
        """A connection that was never made uses no slot."""
        async with self.transport(pool=ONE) as transport:
            with nobody_listens() as url:
                await fails(transport, url)
            async with FaultServer(GOOD) as server, exchange(transport, server.url, timeouts=SOON) as got:
                assert await got.read() == b"good"

    async def test_waiting_for_a_slot_has_a_clock_of_its_own(self) -> None:
        """When all slots stay in use it is ``PoolTimeout``, which is not the server's fault: nothing was sent."""
        async with FaultServer([HALF, GOOD]) as server, self.transport(pool=ONE) as transport:
            async with exchange(transport, server.url):
                with pytest.raises(PoolTimeout) as caught:
                    async with exchange(transport, server.url, timeouts=SOON):
                        pass
            assert (caught.value.advice.sent, caught.value.advice.breaker, len(server.requests)) == (
                False,
                "neutral",
                1,
            )
            assert await fetch(transport, server.url) == b"good"

    async def test_no_more_connections_than_slots(self) -> None:
        """Of twenty simultaneous requests, three are sent at a time, and all are answered."""
        most = 0

        def script(request: object) -> Script:
            nonlocal most
            most = max(most, server.connections.open)
            return (Send(answer(200, b"good")),)

        async with FaultServer(script) as server, self.transport(pool=PoolProfile(limit=3)) as transport:
            answers = await asyncio.gather(*(fetch(transport, server.url) for _ in range(20)))
        assert (answers, most) == ([b"good"] * 20, 3)

    async def test_slots_are_given_in_the_order_of_asking(self) -> None:
        """The request that has waited longest is next."""
        async with FaultServer(GOOD) as server, self.transport(pool=ONE) as transport:
            names = [str(number).encode() for number in range(10)]
            await asyncio.gather(*(fetch(transport, server.url, body=name) for name in names))
            assert [request.body for request in server.requests] == names

    @pytest.mark.parametrize("first", ["cancel", "free"])
    async def test_cancelling_who_waits_loses_no_slot(self, first: str) -> None:
        """Also if the slot becomes free in the same turn of the loop, before or after the cancellation."""
        async with FaultServer([HALF, GOOD, GOOD]) as server, self.transport(pool=ONE) as transport:
            async with exchange(transport, server.url) as got:
                waiting = [asyncio.ensure_future(fetch(transport, server.url)) for _ in range(3)]
                await asyncio.sleep(0)
                for act in (waiting[0].cancel, got.abort) if first == "cancel" else (got.abort, waiting[0].cancel):
                    act()
                answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(answers[0], asyncio.CancelledError)
            assert answers[1:] == [b"good", b"good"]
