"""The contract of transports: where an answer begins and ends, and which phases are reported."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from localagent import Transport
from localagent.errors import Phase, UpstreamProtocol
from localagent.records import PoolProfile
from localagent.timing import NEVER, PhaseTimer, Timeouts, Timer
from localagent_testing.contracts.exchanging import MakesTransports, exchange, fetch
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import MIB, Headers, answer, chunk, chunked, head
from localagent_testing.steps import Drip, ReadHead, ReadRequest, Script, Send, Stall

__all__ = ["Framing"]

CHUNKED = {"Transfer-Encoding": "chunked"}
OK = (ReadRequest(), Send(answer(200, b"good")))
LARGE = bytes(3 * MIB)


def headed(headers: Headers, body: bytes) -> bytes:
    """Return an answer with these headers and no others."""
    return head(200, headers) + body


MISFRAMED = [
    pytest.param(headed([("Content-Length", "2"), *CHUNKED.items()], chunked([b"{}"])), id="length and chunks"),
    pytest.param(headed([*CHUNKED.items(), ("Content-Length", "2")], chunked([b"{}"])), id="chunks and length"),
    pytest.param(headed([("Content-Length", "2"), ("Content-Length", "7")], b"{}"), id="two lengths"),
    pytest.param(headed({"Content-Length": "+2"}, b"{}"), id="signed length"),
    pytest.param(headed({"Content-Length": "0x2"}, b"{}"), id="hexadecimal length"),
    pytest.param(headed({"Content-Length": "2, 2"}, b"{}"), id="list of lengths"),
    pytest.param(headed({"Content-Length": "9" * 30}, b"{}"), id="length beyond numbers"),
    pytest.param(headed(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"), id="chunk size"),
    pytest.param(headed(CHUNKED, b"f" * 20 + b"\r\n{}\r\n0\r\n\r\n"), id="chunk size beyond numbers"),
    pytest.param(headed(CHUNKED, b"2\r\n{}xx\r\n0\r\n\r\n"), id="chunk longer than its size"),
    pytest.param(headed({"X-A": "a\0b", "Content-Length": "2"}, b"{}"), id="null in a header"),
    pytest.param(headed({"X-A": "a" * 9000, "Content-Length": "2"}, b"{}"), id="header of 9 KB"),
    pytest.param(headed([("X-A", "a")] * 200 + [("Content-Length", "2")], b"{}"), id="200 headers"),
    pytest.param(headed([("X-Endless", "a" * 10_000_000)], b""), id="endless header"),
]
TRAILERS = b"0\r\nX-Trailer: late\r\nContent-Encoding: gzip\r\n\r\n"


class Phases(PhaseTimer):
    """A phase timer that remembers which phases began."""

    __slots__ = ("reported",)

    def __init__(self, timer: Timer) -> None:
        super().__init__(timer, Timeouts(), "here", streamed=True)
        self.reported: list[str] = []

    def enter(self, phase: Phase) -> None:
        """Remember a phase."""
        self.reported.append(phase)
        super().enter(phase)


async def phases_of(transport: Transport, url: str, body: bytes) -> list[str]:
    """Send a request; return the phases that were reported, in order."""
    timer = Timer(asyncio.get_running_loop(), NEVER)
    timer.enter()
    try:
        phases = Phases(timer)
        got = await transport.send("POST", url, {}, body, phases)
        await got.read()
        await got.aclose()
    finally:
        timer.close()
    return phases.reported


class Framing(MakesTransports):
    """Where an answer begins and ends; which phases are reported."""

    @pytest.mark.parametrize("data", MISFRAMED)
    async def test_what_is_framed_in_two_ways_is_refused(self, data: bytes) -> None:
        """An answer whose end is ambiguous, or whose head is too large, is an error; its connection is not reused."""
        async with FaultServer([(ReadRequest(), Send(data), Stall()), OK]) as server, self.transport() as transport:
            with pytest.raises(UpstreamProtocol):
                await fetch(transport, server.url)
            assert await fetch(transport, server.url) == b"good"
            assert [request.connection for request in server.requests] == [1, 2]

    @pytest.mark.parametrize("statuses", [(100,), (103,), (100, 102, 103)])
    async def test_interim_answers_are_skipped(self, statuses: tuple[int, ...]) -> None:
        """Interim answers with a 1xx status are skipped, however many there are; the connection is reused."""
        interim = b"".join(head(status, {"X-Interim": "1"}) for status in statuses)
        script = (ReadRequest(), Send(interim), Send(answer(200, b"good")))
        async with FaultServer(script) as server, self.transport() as transport:
            for _ in range(2):
                async with exchange(transport, server.url) as got:
                    assert (got.status, got.headers.get("X-Interim"), await got.read()) == (200, None, b"good")
            assert server.connections.accepted == 1

    async def test_trailers_are_ignored(self) -> None:
        """Trailers after the last chunk change neither the headers nor where the next answer begins."""
        script = (ReadRequest(), Send(head(200, CHUNKED) + chunk(b"good") + TRAILERS))
        async with FaultServer(script) as server, self.transport() as transport:
            for _ in range(2):
                async with exchange(transport, server.url) as got:
                    assert (await got.read(), got.headers.get("X-Trailer")) == (b"good", None)
            assert server.connections.accepted == 1

    @pytest.mark.parametrize("surplus", [b"surplus", answer(200, b"of somebody else")])
    async def test_bytes_behind_an_answer_are_nobodys(self, surplus: bytes) -> None:
        """They are not taken for the next answer: the connection is closed. The answer may be refused with them."""
        first = (ReadRequest(), Send(answer(200, b"first") + surplus))
        async with FaultServer([first, OK]) as server, self.transport() as transport:
            with contextlib.suppress(UpstreamProtocol):
                assert await fetch(transport, server.url) == b"first"
            assert await fetch(transport, server.url) == b"good"
            assert [request.connection for request in server.requests] == [1, 2]

    @pytest.mark.parametrize("data", [answer(200, b"good"), headed(CHUNKED, chunked([b"go", b"od"]))])
    async def test_an_answer_may_come_byte_by_byte(self, data: bytes) -> None:
        """It makes no difference where the network cuts."""
        async with FaultServer((ReadRequest(), Drip(data, pause=0.0))) as server, self.transport() as transport:
            for _ in range(2):
                async with exchange(transport, server.url) as got:
                    assert (got.status, await got.read()) == (200, b"good")
            assert server.connections.accepted == 1

    @pytest.mark.parametrize("way", ["header", "version"])
    async def test_a_server_that_closes_is_not_asked_again(self, way: str) -> None:
        """``Connection: close``, or HTTP/1.0 without keep-alive, ends the connection with its answer."""
        data = answer(200, b"good", {"Connection": "close"} if way == "header" else {})
        if way == "version":
            data = data.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        script = (ReadRequest(), Send(data), Stall())
        async with FaultServer(script) as server, self.transport() as transport:
            for _ in range(2):
                assert await fetch(transport, server.url) == b"good"
            assert server.connections.accepted == 2

    async def test_a_request_that_was_cut_is_not_followed_by_another(self) -> None:
        """A server that answers before it has the whole body gets no second request inside that body."""
        early: Script = (ReadHead(), Send(answer(413, b"too large")), Stall(reading=False))
        async with FaultServer([early, OK], receive_buffer=4096) as server, self.transport() as transport:
            async with exchange(transport, server.url, body=LARGE) as got:
                assert (got.status, await got.read()) == (413, b"too large")
            assert await fetch(transport, server.url) == b"good"
            assert [request.connection for request in server.requests] == [1, 2]

    @pytest.mark.parametrize(
        ("body", "phases"), [(b"{}", ["first_token"]), (LARGE, ["send", "first_token"])], ids=["small", "large"]
    )
    async def test_the_clocks_are_told_what_begins(self, body: bytes, phases: list[str]) -> None:
        """A new connection is a phase of its own, and so is writing if it takes more than one piece."""
        async with FaultServer(OK) as server, self.transport() as transport:
            first, again = [await phases_of(transport, server.url, body) for _ in range(2)]
        assert (first[:2], first[-len(phases) :], again) == ([phases[0], "connect"], phases, phases)

    async def test_waiting_for_a_slot_is_a_phase(self) -> None:
        """It comes before all others."""
        async with FaultServer(OK) as server, self.transport(pool=PoolProfile(limit=1)) as transport:
            reported: list[Any] = await asyncio.gather(*(phases_of(transport, server.url, b"{}") for _ in range(2)))
        assert (reported[0][0], reported[1][:2]) == ("first_token", ["pool", "first_token"])
