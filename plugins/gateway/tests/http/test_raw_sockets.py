"""Framing attacks over raw sockets: each is refused or harmless, and none smuggles a request to a model."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from typing import Any

import pytest
from raw_attacks import ATTACKS, CHAT, HOST, NEXT, SIZED, Attack, get, post

from localagent_testing import CANARY_KEY, Canaries, Reply, fake_provider_plugin

SHORT = {"header_timeout": 0.3, "body_timeout": 0.3, "max_body": 1_000_000}
PIECES = 200  # a drip sends long attacks in about so many pieces, short ones byte by byte


async def answered(url: str, data: bytes, size: int) -> bytes:
    """Return all that comes back, up to the end of the connection, for data that is sent in pieces.

    Plain sockets: what came back before a reset can still be read from them, unlike from a stream of asyncio.
    """
    loop = asyncio.get_running_loop()
    received = bytearray()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
        sock.setblocking(False)
        sending = asyncio.create_task(_send(sock, data, size))
        with contextlib.suppress(ConnectionError):
            while part := await loop.sock_recv(sock, 65536):
                received += part
        await sending
    return bytes(received)


async def _send(sock: socket.socket, data: bytes, size: int) -> None:
    with contextlib.suppress(ConnectionError):
        for at in range(0, len(data), size):
            await asyncio.get_running_loop().sock_sendall(sock, data[at : at + size])
            await asyncio.sleep(0)


def statuses(data: bytes) -> tuple[int, ...]:
    """Return the statuses of complete answers that stand one behind the other."""
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        line, *headers = head.split(b"\r\n")
        assert end, f"An answer is cut: {data!r}"
        assert line.startswith(b"HTTP/"), f"This is not an answer: {data!r}"
        sizes = [int(header[15:]) for header in headers if header.lower().startswith(b"content-length:")]
        found.append(int(line.split(b" ")[1]))
        data = rest[sum(sizes) :]
    return tuple(found)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
async def test_an_attack_is_refused_or_harmless(serve: Any, attack: Attack) -> None:
    """The answers are the expected ones, the next request is in step or refused, and no model is asked in secret."""
    fake = fake_provider_plugin()
    data = attack.data + NEXT
    async with serve(plugins=[fake], **SHORT) as served:
        received = await answered(served.url, data, len(data))
        assert (statuses(received), len(fake.asked)) == (attack.answers, attack.asked)
        fake.asked.clear()
        received = await answered(served.url, data, max(1, len(data) // PIECES))
        assert (statuses(received), len(fake.asked)) == (attack.dripped or attack.answers, attack.asked)
        assert served.worker.server.active == 0


async def test_a_thousand_pipelined_requests_are_answered_in_order(serve: Any) -> None:
    """Each answer belongs to its request; no more than one is worked on at a time."""
    most = 0

    def reply(attempt: Any) -> Reply:
        nonlocal most
        most = max(most, served.worker.server.active)
        return Reply(attempt.request.get("messages")[0]["content"])

    fake = fake_provider_plugin(reply)
    bodies = [CHAT.replace(b"Hi", b"n%04d" % number) for number in range(1000)]
    data = b"".join(post(b"Content-Length: %d\r\n" % len(body), body) for body in bodies)
    async with serve(plugins=[fake], **SHORT) as served:
        received = await answered(served.url, data + NEXT, len(data) + len(NEXT))
    assert re.findall(rb'"content":"n(\d{4})"', received) == [b"%04d" % number for number in range(1000)]
    assert (statuses(received), most) == ((200,) * 1001, 1)


async def test_a_pipeline_beyond_the_queue_is_left_on_the_wire(serve: Any) -> None:
    """While a request is worked on, few of those behind it are taken in: what a client sends has to wait there."""
    fake = fake_provider_plugin(Reply(after=0.2))
    async with serve(plugins=[fake], **SHORT) as served:
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as sock:
            sock.setblocking(False)
            flood = post(SIZED, CHAT) * 200_000
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_sendall(sock, flood), 1.0)


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(serve: Any) -> None:
    """``Expect: 100-continue`` is answered before the body is waited for, and not when the body would be refused."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake], **SHORT) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
        writer.write(post(SIZED + b"Expect: 100-continue\r\nConnection: close\r\n", b""))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(CHAT)
        assert statuses(await reader.read()) == (200,)
        writer.close()
        await writer.wait_closed()
    assert len(fake.asked) == 1


async def test_nothing_of_malformed_requests_is_logged(serve: Any, canaries: Canaries) -> None:
    """A key in a line that cannot be read is in no log and no answer."""
    async with serve(plugins=[fake_provider_plugin()], **SHORT) as served:
        for line in (b"Authorization\0: Bearer ", b"Authorization : Bearer ", b"nonsense "):
            data = get(HOST + line + CANARY_KEY.encode() + b"\r\n")
            received = await answered(served.url, data, len(data))
            canaries.watch(received.decode())
            assert statuses(received) == (400,)
