"""The contract of transports: sizes and compression of bodies."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from typing import Any

import pytest

from localagent import LocalAgentError
from localagent.errors import ResponseTooLarge, UpstreamProtocol
from localagent.records import SizeLimits
from localagent_testing.contracts.base import CLOSING_SECONDS
from localagent_testing.contracts.exchanging import MakesTransports, exchange, fetch
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import MIB, answer, chunk, chunked, head
from localagent_testing.steps import ReadRequest, Repeat, Script, Send, Stall
from localagent_testing.turns import counting_turns

__all__ = ["Bodies"]

SMALL = SizeLimits(body=MIB)
#: Text that compresses to about half, so that half of its compression is still a lot of text.
TEXT = random.Random(1).randbytes(200_000).hex().encode()


def compressed(data: bytes, encoding: str = "gzip", pieces: int = 1) -> Script:
    """Answer with a body that is declared as compressed: in one piece, or in this many chunks."""
    headers = {"Content-Encoding": encoding}
    if pieces == 1:
        return (ReadRequest(), Send(answer(200, data, headers)))
    size = -(-len(data) // pieces) or 1
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    begin = head(200, {**headers, "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(begin), *(Send(chunk(part)) for part in parts), Send(chunked(())))


async def joined(got: Any) -> bytes:
    """Read an answer part by part."""
    body = b""
    while part := await got.read_chunk():
        body += part
    return body


class Bodies(MakesTransports):
    """Sizes and compression."""

    @pytest.mark.parametrize("how", ["read", "parts"])
    @pytest.mark.parametrize("pieces", [1, 7])
    @pytest.mark.parametrize("size", [0, 10, MIB, 5 * MIB])
    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_a_compressed_body_is_decompressed(self, encoding: str, size: int, pieces: int, how: str) -> None:
        """Compressed bodies of any size come out whole, read at once or in parts, sent in one piece or several."""
        body = bytes(size)
        data = gzip.compress(body, 1) if encoding == "gzip" else zlib.compress(body, 1)
        async with FaultServer(compressed(data, encoding, pieces)) as server, self.transport() as transport:
            async with exchange(transport, server.url) as got:
                assert await (got.read() if how == "read" else joined(got)) == body
            await fetch(transport, server.url)
            assert server.connections.accepted == 1

    @pytest.mark.parametrize("how", ["read", "parts"])
    @pytest.mark.parametrize("pieces", [1, 7])
    @pytest.mark.parametrize("kept", [1, 15, 50_000, -9, -1])
    async def test_a_cut_compression_is_an_error(self, kept: int, pieces: int, how: str) -> None:
        """A compressed body that ends too soon is an error, wherever it was cut, even if HTTP ended well."""
        data = gzip.compress(TEXT)[:kept]
        async with (
            FaultServer(compressed(data, pieces=pieces)) as server,
            self.transport() as transport,
            exchange(transport, server.url) as got,
        ):
            with pytest.raises(UpstreamProtocol):
                await (got.read() if how == "read" else joined(got))

    async def test_a_corrupt_compression_is_an_error(self) -> None:
        """A compressed body that is overwritten in the middle is ``UpstreamProtocol``; its connection is closed."""
        data = gzip.compress(TEXT)
        script = compressed(data[:1000] + b"\xff" * 100 + data[1100:], pieces=50)
        async with FaultServer(script) as server, self.transport() as transport:
            with pytest.raises(UpstreamProtocol):
                await fetch(transport, server.url)

    async def test_an_unknown_compression_is_an_error(self) -> None:
        """A body that cannot be decompressed is not returned as if it were text."""
        script = (ReadRequest(), Send(head(200, {"Content-Encoding": "x-unknown", "Content-Length": "99"})), Stall())
        async with FaultServer(script) as server, self.transport() as transport:
            with pytest.raises(UpstreamProtocol):
                await fetch(transport, server.url)
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_a_bomb_is_cut_at_the_cap(self) -> None:
        """A small body that decompresses to more than the limit is ``ResponseTooLarge``."""
        bomb = gzip.compress(bytes(40 * MIB))
        async with FaultServer(compressed(bomb)) as server, self.transport(size_limits=SMALL) as transport:
            with pytest.raises(ResponseTooLarge):
                await fetch(transport, server.url)

    @pytest.mark.parametrize("how", ["read", "parts"])
    async def test_a_compression_of_nothing_is_cut(self, how: str) -> None:
        """Bytes that decompress to nothing, without end, are ``ResponseTooLarge``, and the connection is closed."""
        hollow = zlib.compressobj(0, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        start = hollow.compress(b"") + hollow.flush(zlib.Z_FULL_FLUSH)
        nothing = b"".join(hollow.flush(zlib.Z_FULL_FLUSH) or b"\0\0\0\xff\xff" for _ in range(10_000))
        endless = (
            ReadRequest(),
            Send(head(200, {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"})),
            Send(chunk(start)),
            Repeat((Send(chunk(nothing)),)),
        )
        async with (
            FaultServer(endless) as server,
            self.transport(size_limits=SMALL) as transport,
            exchange(transport, server.url) as got,
        ):
            with pytest.raises(ResponseTooLarge):
                await (got.read() if how == "read" else joined(got))
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_parts_of_a_bomb_are_small(self) -> None:
        """No part is larger than 1 MiB, whatever the compression hides."""
        bomb = gzip.compress(bytes(10 * MIB))
        async with (
            FaultServer(compressed(bomb)) as server,
            self.transport() as transport,
            exchange(transport, server.url) as got,
        ):
            sizes = []
            while part := await got.read_chunk():
                sizes.append(len(part))
        assert (max(sizes) <= MIB, sum(sizes)) == (True, 10 * MIB)

    async def test_others_run_while_a_bomb_is_read(self) -> None:
        """The data is not decompressed in one step: the event loop runs between most parts."""
        bomb, seen = gzip.compress(bytes(32 * MIB)), []
        async with (
            FaultServer(compressed(bomb)) as server,
            self.transport() as transport,
            exchange(transport, server.url) as got,
        ):
            with counting_turns() as turns:
                while await got.read_chunk():
                    seen.append(turns.count)
        assert len(set(seen)) > len(seen) // 2

    async def test_reading_stops_at_the_cap(self) -> None:
        """An endless body is ``ResponseTooLarge`` as soon as the limit is exceeded, and its connection is closed."""
        endless = (
            ReadRequest(),
            Send(head(200, {"Transfer-Encoding": "chunked"})),
            Repeat((Send(chunk(bytes(65536))),)),
        )
        async with FaultServer(endless) as server, self.transport(size_limits=SMALL) as transport:
            with pytest.raises(ResponseTooLarge):
                await fetch(transport, server.url)
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)

    async def test_a_body_of_exactly_the_cap_is_read(self) -> None:
        """A body of exactly the limit is allowed."""
        async with (
            FaultServer((ReadRequest(), Send(answer(200, bytes(MIB))))) as server,
            self.transport(size_limits=SMALL) as transport,
        ):
            assert len(await fetch(transport, server.url)) == MIB

    @pytest.mark.parametrize("cap", [0, 5, 100])
    async def test_a_callers_own_cap_cuts_without_an_error(self, cap: int) -> None:
        """``read(cap)`` returns at most that many bytes: more of an error's body is not needed."""
        async with (
            FaultServer((ReadRequest(), Send(answer(500, b"0123456789")))) as server,
            self.transport() as transport,
            exchange(transport, server.url) as got,
        ):
            assert await got.read(cap) == b"0123456789"[:cap]

    async def test_a_broken_body_raises_again(self) -> None:
        """Reading after an error raises an error again, and does not look like the end."""
        data = gzip.compress(TEXT)[:1000]
        async with (
            FaultServer(compressed(data)) as server,
            self.transport() as transport,
            exchange(transport, server.url) as got,
        ):
            with pytest.raises(LocalAgentError):
                await got.read()
            with pytest.raises(LocalAgentError):
                await got.read()
