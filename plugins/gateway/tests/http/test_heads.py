"""Heads that are too large or no HTTP: a status that says which, the words of the API that was asked, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from raw_attacks import CHAT, HOST, post
from test_aiohttp_server import parted

from localagent_testing import fake_provider_plugin

LONG = b"a" * 300_000
FIELD = b"X: " + LONG + b"\r\n"
NAME = LONG + b": x\r\n"
MANY = b"".join(b"X-%d: a\r\n" % number for number in range(2000))
KEY = b"Authorization: Bearer " + LONG + b"\r\n"
WORDS: dict[bytes, Any] = {
    b"/v1/chat/completions": lambda body: body["error"]["code"],
    b"/v1/models/x": lambda body: body["error"]["code"],
    b"/v1/messages": lambda body: body["type"] == "error" and body["error"]["type"],
    b"/api/chat": lambda body: isinstance(body["error"], str),
    b"/nothing": lambda body: body["error"]["code"],
}
SAID = {b"/v1/messages": "invalid_request_error", b"/api/chat": True}


async def answered(served: Any, data: bytes, size: int) -> bytes:
    """Send all of the data before anything of the answer is read; a reset would lose it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await writer.drain()
        await asyncio.sleep(0)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


@pytest.mark.parametrize("size", [10**9, 1500], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("path", WORDS)
@pytest.mark.parametrize("fields", [FIELD, NAME, MANY, KEY], ids=["a-value", "a-name", "many", "a-key"])
async def test_headers_that_are_too_large_are_told_by_431(serve: Any, fields: bytes, path: bytes, size: int) -> None:
    """One that is too long, by its name or its value, and too many; the body behind them is not waited for."""
    data = b"POST %b?a=1 HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, fields, len(CHAT), CHAT)
    async with serve(plugins=[fake_provider_plugin()]) as served:
        status, headers, body = parted(await answered(served, data, size))
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    assert WORDS[path](json.loads(body)) == SAID.get(path, "request_headers_too_large")
    assert b"aaaa" not in body


@pytest.mark.parametrize("size", [10**9, 1500], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("path", WORDS)
@pytest.mark.parametrize("rest", [b"?q=" + LONG, b"/" + LONG, b"?" + b"a=1&" * 50_000], ids=["query", "path", "names"])
async def test_an_address_that_is_too_long_is_told_by_414(serve: Any, path: bytes, rest: bytes, size: int) -> None:
    """By its query or its path."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        data = b"POST %b%b HTTP/1.1\r\n%b\r\n" % (path, rest, HOST)
        status, headers, body = parted(await answered(served, data, size))
    assert status.startswith(b"HTTP/1.1 414 ")
    assert headers["connection"] == "close"
    assert WORDS[path](json.loads(body)) == SAID.get(path, "uri_too_long")


async def test_what_just_fits_is_answered(serve: Any) -> None:
    """8190 bytes of an address or a header, and a hundred headers."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        for line, fields in (
            (b"GET /healthz?" + b"a" * 8000, b""),
            (b"GET /healthz", b"X: " + b"a" * 8000 + b"\r\n"),
            (b"GET /healthz", b"".join(b"X-%d: a\r\n" % number for number in range(100))),
        ):
            data = b"%b HTTP/1.1\r\n%bConnection: close\r\n%b\r\n" % (line, HOST, fields)
            assert (await answered(served, data, 10**9)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", WORDS)
async def test_what_is_no_http_is_told_in_the_words_of_its_path(serve: Any, path: bytes) -> None:
    """As far as a path can be read."""
    async with serve() as served:
        data = b"POST %b HTTP/1.1\r\n%bnonsense\r\n\r\n" % (path, HOST)
        status, _, body = parted(await answered(served, data, 10**9))
    assert status == b"HTTP/1.1 400 Bad Request"
    assert WORDS[path](json.loads(body)) == SAID.get(path, "malformed_request")


async def test_behind_a_good_request_the_path_is_that_of_the_bad_one(serve: Any) -> None:
    """Whether the good one is being answered, or was."""
    good = post(b"Content-Length: %d\r\n" % len(CHAT), CHAT)
    bad = b"POST /api/chat HTTP/1.1\r\n%b%b\r\n" % (HOST, FIELD)
    async with serve(plugins=[fake_provider_plugin()]) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
        writer.write(good)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(parted(head)[1]["content-length"]))
        writer.write(bad)
        status, _, body = parted(await reader.read())
        writer.close()
        await writer.wait_closed()
    assert (status, json.loads(body).keys()) == (b"HTTP/1.1 431 Request Header Fields Too Large", {"error"})
    assert isinstance(json.loads(body)["error"], str)


async def test_a_client_that_sends_on_behind_a_broken_body_reads_the_answer(serve: Any) -> None:
    """What it sends is dropped, and the connection ends with the answer and not with a reset."""
    data = post(b"Transfer-Encoding: chunked\r\n", b"zz\r\n" + LONG * 20)
    async with serve(plugins=[fake_provider_plugin()]) as served:
        for size in (10**9, 10_000):
            assert (await answered(served, data, size)).startswith(b"HTTP/1.1 400 ")


async def test_nobody_waits_for_a_client_that_sends_on_for_ever(serve: Any) -> None:
    """The connection is closed for good when its time is up."""
    async with serve() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n" + FIELD)
        assert parted(await reader.read())[0].startswith(b"HTTP/1.1 431 ")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(LONG)
                await writer.drain()
        assert await served.worker.server.wait_unconnected(30.0)
        writer.close()
