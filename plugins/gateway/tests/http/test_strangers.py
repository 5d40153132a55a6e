"""What clients can make the gateway hold: nothing without a key, and with one only so much."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from dialects_under_test import WAYS, Way

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent_gateway import GatewaySettings, descriptors
from localagent_gateway.keys.store import KeyStore
from localagent_testing import fake_provider_plugin

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
MEBIBYTE = 1024 * 1024
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Counting(Plugin):
    """Counts who is asked for, and adds an open route that takes a body, and one that never answers."""

    name = "counting"
    asked: list[HttpRequest]

    @hookimpl(of="gateway")
    async def gateway_authenticate(self, request: HttpRequest) -> Principal | None:
        type(self).asked.append(request)
        return Principal(tenant="one") if request.headers.get("x-badge") else None

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def hook(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return HttpResponse(200, incoming.body)

        async def never(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        return [Route("POST", "/hook", hook, open=True), Route("POST", "/never", never, open=True)]


@pytest.fixture(autouse=True)
def _none_asked() -> None:
    Counting.asked = []


def post(path: str, length: int, headers: bytes = b"") -> bytes:
    """The head of a request with a body of this length."""
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n" % (path.encode(), HOST, length, headers)


@contextlib.asynccontextmanager
async def connected(url: str, sent: bytes) -> Any:
    """Connect and send."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *lines = head.strip().split("\r\n")
    headers = dict(one.lower().split(": ", 1) for one in lines)
    return int(line.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def until(condition: Any) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is looked at is told to nobody
            await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS, ids=[way.path for way in WAYS])
async def test_without_a_key_no_body_is_read(serve: Any, keys: KeyStore, way: Way) -> None:
    """401 before the body was sent, even one that would be too large; it is not asked for, and nothing is held."""
    keys.create("one")
    for length, expect in ((30 * MEBIBYTE, b""), (900 * MEBIBYTE, b""), (9, b"Expect: 100-continue\r\n")):
        async with (
            serve(plugins=[fake_provider_plugin()]) as served,
            connected(served.url, post(way.path, length, expect) + b"{") as (reader, _),
        ):
            status, headers, body = await answered(reader)
            assert (status, headers["connection"], headers["www-authenticate"]) == (401, "close", "bearer")
            assert b"key" in body
            assert served.worker.server._budget.held == 0


async def test_without_a_key_a_body_that_has_arrived_keeps_the_connection(serve: Any, keys: KeyStore) -> None:
    """The next request on it is answered."""
    keys.create("one")
    async with (
        serve(plugins=[fake_provider_plugin()]) as served,
        connected(served.url, post("/v1/chat/completions", 2) + b"{}" + GET) as (reader, _),
    ):
        assert [(await answered(reader))[0] for _ in range(2)] == [401, 200]


async def test_where_there_is_nothing_no_body_is_read(serve: Any) -> None:
    """404 and 405 come before it, too."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        for path, status in (("/nowhere", 404), ("/healthz", 405)):
            async with connected(served.url, post(path, 1000)) as (reader, _):
                assert (await answered(reader))[0] == status


async def test_who_asks_is_asked_once(serve: Any) -> None:
    """Before the body; open routes ask nobody and get their body."""
    async with serve(plugins=[fake_provider_plugin(), Counting]) as served:
        chat = b'{"messages": [{"role": "user", "content": "Hi"}]}'
        head = post("/v1/chat/completions", len(chat), b"X-Badge: 1\r\n")
        async with connected(served.url, head) as (reader, writer):
            await until(lambda: Counting.asked)
            assert Counting.asked[0].body == b""
            writer.write(chat)
            assert (await answered(reader))[0] == 200
        async with connected(served.url, post("/hook", 5) + b"hello") as (reader, _):
            assert (await answered(reader))[2] == b"hello"
    assert len(Counting.asked) == 1


async def test_the_bodies_of_all_requests_are_bounded_together(serve: Any) -> None:
    """503 and a time to come back, before anything is read; small ones still pass, and so do large ones afterwards."""
    part = b" " * (MEBIBYTE // 2)
    async with (
        serve(plugins=[Counting], max_body=MEBIBYTE, max_bodies=2 * MEBIBYTE) as served,
        contextlib.AsyncExitStack() as stack,
    ):
        budget = served.worker.server._budget
        for _ in range(2):
            await stack.enter_async_context(connected(served.url, post("/hook", MEBIBYTE) + part))
        await until(lambda: budget.held == MEBIBYTE)
        async with connected(served.url, post("/hook", MEBIBYTE)) as (reader, _):
            status, headers, body = await answered(reader)
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert b"gateway_busy" in body
        async with connected(served.url, post("/hook", 5) + b"hello") as (reader, _):
            assert (await answered(reader))[0] == 200
        chunk = b"%x\r\n%b\r\n" % (len(part), part)
        unknown = b"POST /hook HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (HOST, chunk * 2)
        async with connected(served.url, unknown) as (reader, _):
            assert (await answered(reader))[0] == 503
        await stack.aclose()
        await until(lambda: budget.held == 0)
        async with connected(served.url, post("/hook", MEBIBYTE) + part + part) as (reader, _):
            assert (await answered(reader))[0] == 200
        await until(lambda: budget.held == 0)


async def test_a_body_counts_until_its_answer_has_ended(serve: Any) -> None:
    """Also when its client leaves before."""
    async with serve(plugins=[Counting]) as served:
        budget = served.worker.server._budget
        async with connected(served.url, post("/never", 5) + b"hello"):
            await until(lambda: budget.held == 5)
        await until(lambda: budget.held == 0)


async def test_where_places_are_short_the_longest_idle_connection_is_closed(serve: Any) -> None:
    """The one that has waited for longest, not the one that was opened first; new ones are always served."""
    async with (
        serve(plugins=[Counting], max_connections=2) as served,
        connected(served.url, GET) as (first, first_writer),
        connected(served.url, b"") as (second, _),
    ):
        await answered(first)
        await until(lambda: served.worker.server.connections == 2)
        first_writer.write(GET)
        await answered(first)  # so that the second one has waited for longer
        async with connected(served.url, GET) as (third, _):
            assert (await answered(third))[0] == 200
            assert await second.read() == b""
            first_writer.write(GET)
            assert (await answered(first))[0] == 200


async def test_a_request_that_came_with_its_connection_gives_no_way_to_later_ones(serve: Any) -> None:
    """A busy event loop finds all of them at once; the one that waits for an answer is not idle."""
    async with serve(plugins=[Counting], max_connections=2) as served, contextlib.AsyncExitStack() as stack:
        host, _, port = served.url.removeprefix("http://").rpartition(":")
        asking, *idle = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(3)]
        asking.sendall(GET)  # nothing has been accepted yet: the event loop stands still meanwhile
        loop = asyncio.get_running_loop()
        for sock in (asking, *idle):
            sock.setblocking(False)
        assert (await loop.sock_recv(asking, 65536)).startswith(b"HTTP/1.1 200")
        with contextlib.suppress(ConnectionResetError):
            assert await loop.sock_recv(idle[0], 65536) == b""


async def test_unfinished_bodies_and_heads_give_way_and_answers_do_not(serve: Any) -> None:
    """Who sends too slowly is closed for others; where all places are at work, a new client is told to come back."""
    async with (
        serve(plugins=[Counting], max_connections=2) as served,
        connected(served.url, post("/hook", 9) + b"{") as (body, _),
        connected(served.url, GET[:9]) as (head, _),
    ):
        await until(lambda: served.worker.server.connections == 2)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(connected(served.url, post("/never", 0)))
            with contextlib.suppress(ConnectionError):
                assert (await body.read(), await head.read()) == (b"", b"")
            await until(lambda: served.worker.server.active == 2)
            for path, words in (("/v1/chat/completions", b'"code":"gateway_busy"'), ("/api/chat", b'{"error":"The'),
                                ("/v1/messages", b'{"type":"error"')):  # fmt: skip
                async with connected(served.url, post(path, 0)) as (reader, _):
                    status, headers, reported = await answered(reader)
                    assert (status, headers["retry-after"], await reader.read()) == (503, "1", b"")
                    assert words in reported
            assert served.worker.server.active == 2


async def test_a_surplus_connection_that_sends_nothing_gives_way_to_the_next(serve: Any) -> None:
    """So that there is never more than one that waits beyond the limit."""
    async with serve(plugins=[Counting], max_connections=2) as served, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(connected(served.url, post("/never", 0)))
        await until(lambda: served.worker.server.active == 2)
        last, _ = await stack.enter_async_context(connected(served.url, b""))
        for _ in range(20):
            await until(lambda: served.worker.server.connections == 3)
            reader, _ = await stack.enter_async_context(connected(served.url, b""))
            with contextlib.suppress(ConnectionError):
                assert await last.read() == b""
            last = reader
        assert served.worker.server.connections == 3


async def test_a_connection_gives_way_when_the_system_has_no_descriptor_left(serve: Any) -> None:
    """The event loop says so when it cannot accept; it goes on accepting by itself."""
    loop = asyncio.get_running_loop()
    heard: list[Any] = []
    loop.set_exception_handler(lambda loop, context: heard.append(context))
    async with serve(plugins=[Counting]) as served, connected(served.url, GET) as (reader, _):
        await answered(reader)
        loop.call_exception_handler({"message": "else"})
        short = OSError(errno.EMFILE, "Too many open files")
        loop.call_exception_handler({"message": "accept", "exception": short, "socket": socket.socket})
        assert await reader.read() == b""
    assert [context["message"] for context in heard] == ["else"]
    loop.call_exception_handler({"message": "after"})
    assert len(heard) == 2


@pytest.mark.parametrize(("descriptors_at_most", "expected"), [(64, 16), (1024, 768), (10**6, 4096), (20, 1)])
def test_the_limit_of_connections_leaves_descriptors_for_all_else(
    monkeypatch: pytest.MonkeyPatch, descriptors_at_most: int, expected: int
) -> None:
    """Unless the settings name one."""
    monkeypatch.setattr(descriptors, "descriptor_limit", lambda: descriptors_at_most)
    assert GatewaySettings().connections == expected
    assert GatewaySettings(max_connections=7).connections == 7
