"""A server is healthy when it reports it, and not when it reports otherwise or nothing at all."""

from __future__ import annotations

import asyncio

import pytest

from localagent_provider_llamacpp.health import is_healthy

LOADING = b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"error": {"message": "Loading model", "code": 503}}'


async def ask(answer: bytes | None, seconds: float = 2.0) -> tuple[bool, bytes]:
    """Ask a server that gives this answer, or none; return what was made of it, and what was asked."""
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        if answer is not None:
            writer.write(answer)
            writer.close()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await is_healthy(port, timeout=seconds), asked[0]


@pytest.mark.parametrize(
    ("answer", "well"), [(b"HTTP/1.1 200 OK\r\n\r\n", True), (LOADING, False), (b"", False), (b"nonsense", False)]
)
def test_only_the_status_200_counts_as_well(answer: bytes, well: bool) -> None:
    """A server that is loading says 503; one that dies says nothing."""
    assert asyncio.run(ask(answer)) == (well, b"GET /health HTTP/1.1\r\n")


def test_a_server_that_never_answers_is_not_well() -> None:
    """The question has a time-out of its own."""
    assert asyncio.run(ask(None, seconds=0.05))[0] is False


def test_a_port_where_nobody_listens_is_not_well() -> None:
    """A refused connection is an answer too."""

    async def nobody() -> bool:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
            port = int(server.sockets[0].getsockname()[1])
        return await is_healthy(port)

    assert asyncio.run(nobody()) is False
