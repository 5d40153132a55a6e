"""Clients that trickle, stall or say nothing are cut at their deadline; others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from typing import Any

import httpx
from raw_attacks import CHAT, CHAT_LINE, HOST

from localagent_testing import fake_provider_plugin

SLOW = 500
ASKED = 200
LIMITS = {"header_timeout": 0.5, "body_timeout": 0.5}
LATEST = 30.0  # a generous ceiling: what is looked at is that all are cut, and how, not when
BEGINNINGS = [
    (b"", b"", b""),
    (b"GET /hea", b"", b""),
    (b"GET /healthz HTTP/1.1\r\nX-", b"a", b""),
    (CHAT_LINE + HOST + b"Content-Length: 999\r\n\r\n{", b"", b"408"),
    (CHAT_LINE + HOST + b"Content-Length: 999\r\n\r\n{", b" ", b"408"),
    (CHAT_LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n", b"408"),
]


async def slow(port: int, begin: bytes, trickle: bytes) -> bytes:
    """Begin a request and send a trickle that never ends it; return what comes back until the connection is cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    dripping = asyncio.create_task(_drip(writer, trickle))
    received = b""
    with contextlib.suppress(ConnectionError):  # a trickle that meets a closed connection; what came before counts
        while part := await reader.read(65536):
            received += part
    dripping.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionError):
        await dripping
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return received


async def _drip(writer: asyncio.StreamWriter, trickle: bytes) -> None:
    while trickle:
        writer.write(trickle)
        await asyncio.sleep(0.1)


async def p99(http: httpx.AsyncClient, url: str) -> float:
    """Ask one after the other; return the 99th percentile in milliseconds. All answers are right."""
    loop = asyncio.get_running_loop()
    took = []
    for _ in range(ASKED):
        began = loop.time()
        answer = await http.post(f"{url}/v1/chat/completions", content=CHAT)
        took.append((loop.time() - began) * 1000)
        assert answer.status_code == 200
    return statistics.quantiles(took, n=100)[98]


async def test_slow_clients_are_cut_while_others_are_served(serve: Any) -> None:
    """All of them: unanswered in the head, with 408 in the body; the times of the others are printed, not judged."""
    # A connection for each request: a kept one can be closed as idle at the very moment at which it is used again.
    async with (
        serve(plugins=[fake_provider_plugin()], **LIMITS) as served,
        httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)) as http,
    ):
        port = int(served.url.rpartition(":")[2])
        before = [await p99(http, served.url) for _ in range(2)]
        begun = [BEGINNINGS[number % len(BEGINNINGS)] for number in range(SLOW)]
        clients = [asyncio.create_task(slow(port, begin, trickle)) for begin, trickle, _ in begun]
        during = await p99(http, served.url)
        cut = await asyncio.wait_for(asyncio.gather(*clients), LATEST)
        for (begin, _, status), received in zip(begun, cut, strict=True):
            assert received[9:12] == status, begin
        assert served.worker.server.active == 0
    print(f"p99 alone {before[0]:.1f} and {before[1]:.1f} ms, beside {SLOW} slow clients {during:.1f} ms")
