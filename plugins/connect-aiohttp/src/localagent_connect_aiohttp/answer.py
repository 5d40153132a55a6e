"""An answer: reads its body as it arrives, then returns or closes its connection."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping

import aiohttp

from localagent.errors import ResponseTooLarge
from localagent.records import SizeLimits
from localagent_connect_aiohttp.decompression import Inflater, inflater_for
from localagent_connect_aiohttp.errors import broken
from localagent_connect_aiohttp.permits import Permits


class AiohttpAnswer:
    """An answer whose head was received; see ``localagent.HttpAnswer``."""

    __slots__ = ("_inflater", "_permits", "_response", "_size_limits", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, size_limits: SizeLimits, permits: Permits) -> None:
        self._inflater = inflater_for(response.headers.getall("Content-Encoding", ()))
        self._response = response
        self._size_limits = size_limits
        self._permits: Permits | None = permits
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end and the connection returned."""
        return self._permits is None

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body; see ``HttpAnswer.read``."""
        enough = self._size_limits.body + 1 if cap is None else cap
        data = body = await self.read_chunk()
        total = len(data)
        if data and total < enough and not self._over:
            body, total = await self._rest(data, enough)
        if not self._over:
            self.abort()
        if cap is None and total > self._size_limits.body:
            raise ResponseTooLarge(f"The answer is larger than {self._size_limits.body} bytes.", phase="read")
        return body[:cap]

    async def _rest(self, data: bytes, enough: int) -> tuple[bytes, int]:
        """Return the rest of the body and its size; chunks are copied as they arrive, so the last copy is short."""
        parts, total = io.BytesIO(), 0
        while data:
            parts.write(data)
            total += len(data)
            if total >= enough or self._over:
                break
            data = await self.read_chunk()
        return parts.getvalue(), total

    async def read_chunk(self) -> bytes:
        """Return the next bytes of the body; ``b""`` at its end."""
        content = self._response.content
        try:
            if self._inflater is not None:
                return await self._inflated_part(self._inflater)
            data = await content.readany()
        except (aiohttp.ClientError, ConnectionError) as error:
            trouble = broken(error)
        except BaseException:  # cancelled, or decompression failed: the reader may not come back to clean up
            self.abort()
            raise
        else:
            if content.at_eof():
                self._give_permit()  # aiohttp itself reclaims the connection at the end of the body
            return data
        self.abort()
        raise trouble

    async def _inflated_part(self, inflater: Inflater) -> bytes:
        data = inflater.pending()
        if data:
            await asyncio.sleep(0)  # nothing else yields here, and decompressing 1 MiB takes milliseconds
        content = self._response.content
        while not data and not inflater.finished:
            raw = await content.readany()
            if content.at_eof():
                self._give_permit()
            data = inflater.feed(raw)
        return data

    @property
    def _over(self) -> bool:
        """Whether no further chunk will arrive."""
        return self._permits is None and (self._inflater is None or self._inflater.finished)

    def abort(self) -> None:
        """Close the connection at once."""
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        self._response.close()
        if self._permits is not None:
            abort(transport)
            self._give_permit()

    async def aclose(self) -> None:
        """Return the connection if the body was read to its end; close it otherwise."""
        if self._permits is not None:
            self.abort()

    def _give_permit(self) -> None:
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.give()


def abort(transport: asyncio.Transport | None) -> None:
    """Close a connection without waiting until the peer has read all written data: close() could wait forever."""
    if transport is not None:
        transport.abort()
