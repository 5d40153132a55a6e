"""One connection of a ``FaultServer``: runs the steps of scripts on its wire, and records the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from localagent_testing.steps import (
    Close,
    Drip,
    Fin,
    Hold,
    Pause,
    Read,
    ReadBytes,
    ReadRequest,
    Repeat,
    Reset,
    Script,
    Send,
    Stall,
)
from localagent_testing.wire import Over, Wire


@attrs.frozen
class ReceivedRequest:
    """A request that the server read.

    Attributes:
        number: Number among all requests of the server, from 1.
        connection: Number of its connection, from 1.
        method: The method.
        path: The request target as sent.
        headers: Names and values as sent, in order.
        body: The body, chunks joined; empty if a script reads only the head.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first header with that name, in any case; None if it is missing."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


class Connection:
    """Runs the steps of scripts on one wire.

    Args:
        number: Number of the connection, from 1.
        wire: Its bytes.
        record: Called with method, path, headers and body of each request; returns the record of it.
        released: Set when ``Hold`` should continue.
    """

    def __init__(
        self,
        number: int,
        wire: Wire,
        record: Callable[[int, str, str, tuple[tuple[str, str], ...], bytes], ReceivedRequest],
        released: asyncio.Event,
    ) -> None:
        self.number = number
        self.wire = wire
        self._record = record
        self._released = released

    async def perform(self, script: Script) -> None:
        """Run the steps in order.

        Raises:
            Over: The connection has ended, or the script ends it.
        """
        for step in script:
            if isinstance(step, Repeat):
                await self._repeat(step)
            elif isinstance(step, Read):
                await self._read(step)
            elif isinstance(step, Pause | Hold | Stall):
                await self._wait(step)
            else:
                await self._write(step)

    async def request(self, *, body: bool = True) -> ReceivedRequest:
        """Read a request and record it."""
        start, *lines = (await self.wire.take_to(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _version = start.split(" ", 2)
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        data = await self._body({name.lower(): value for name, value in headers}) if body else b""
        return self._record(self.number, method, path, headers, data)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.wire.take(int(headers.get("content-length", "0")))
        pieces = []
        while size := int((await self.wire.take_to(b"\r\n")).partition(b";")[0], 16):
            pieces.append(await self.wire.take(size))
            await self.wire.take_to(b"\r\n")
        while await self.wire.take_to(b"\r\n"):
            pass
        return b"".join(pieces)

    async def _repeat(self, step: Repeat) -> None:
        done = 0
        while step.times is None or done < step.times:
            await self.perform(step.steps)
            done += 1

    async def _read(self, step: Read) -> None:
        if isinstance(step, ReadBytes):
            await self.wire.take(step.count)
        else:
            await self.request(body=isinstance(step, ReadRequest))

    async def _wait(self, step: Pause | Hold | Stall) -> None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Hold):
            await _at_most(step.seconds, self._released)
        elif step.reading:
            await self.wire.drain()
        else:
            await self.wire.gone.wait()

    async def _write(self, step: Send | Drip | Fin | Reset | Close) -> None:
        if isinstance(step, Send):
            await self.wire.send(step.data)
        elif isinstance(step, Drip):
            await self._drip(step)
        elif isinstance(step, Fin):
            self.wire.finish()
        else:
            if isinstance(step, Reset):
                self.wire.reset()
            raise Over

    async def _drip(self, step: Drip) -> None:
        for at in range(0, len(step.data), step.size):
            await self.wire.send(step.data[at : at + step.size])
            await asyncio.sleep(step.pause)


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
