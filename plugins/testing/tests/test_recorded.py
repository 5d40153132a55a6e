"""The recorded transport answers from a script; a recorder writes one, without the secrets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localagent import Client, LocalAgentError, OpenAICompatible, Plugin, ProviderType, hookimpl
from localagent.errors import ConnectFailed, ResponseTooLarge, UpstreamServerError
from localagent.plugin_api.plugin import NoSettings
from localagent.records import SizeLimits
from localagent_connect_aiohttp import AiohttpTransport
from localagent_testing import (
    CANARY_KEY,
    Close,
    Exchange,
    FaultServer,
    ReadRequest,
    RecordedTransport,
    Recorder,
    Send,
    answer,
    chunk,
    chunked,
    head,
    recording,
    replay,
    sse,
)
from localagent_testing.contracts.exchanging import HERE, exchange, fetch, nobody_listens

URL = "http://here.invalid/v1/chat"


# Playing --------------------------------------------------------------------------------------------------------------


async def test_exchanges_are_answered_in_order() -> None:
    """Status, headers and parts as written; what was sent is kept."""
    transport = RecordedTransport([Exchange(parts=(b"one", b"two")), Exchange(503, {"Retry-After": "7"}, (b"busy",))])
    async with exchange(transport, URL, headers={"X-Own": "1"}, body=b"asked") as got:
        assert [await got.read_chunk(), await got.read_chunk(), await got.read_chunk(), await got.read_chunk()] == [
            b"one",
            b"two",
            b"",
            b"",
        ]
        assert got.ended
    async with exchange(transport, URL) as got:
        assert (got.status, got.headers["retry-after"], await got.read()) == (503, "7", b"busy")
    assert (transport.sent[0].body, transport.sent[0].headers) == (b"asked", {"X-Own": "1"})
    await transport.aclose()
    assert transport.closed


async def test_a_function_may_answer() -> None:
    """For ever, by what is asked."""
    transport = RecordedTransport(lambda request: Exchange(parts=(request.body or b"", request.method.encode())))
    assert await fetch(transport, URL, body=b"a ") == b"a POST"
    assert await fetch(transport, URL, method="GET", body=None) == b"GET"


async def test_nothing_left_to_answer_with_is_a_mistake_of_the_test() -> None:
    """It says what was asked."""
    transport = RecordedTransport([])
    with pytest.raises(AssertionError, match="no exchange is left for request 1: POST /v1/chat"):
        await fetch(transport, URL)


async def test_errors_can_be_written_down() -> None:
    """Instead of an answer, or behind a part."""
    transport = RecordedTransport([
        Exchange(failure=ConnectFailed("No connection.")),
        Exchange(parts=(b"half",), cut=UpstreamServerError("Cut.")),
    ])  # fmt: skip
    with pytest.raises(ConnectFailed):
        await fetch(transport, URL)
    async with exchange(transport, URL) as got:
        assert await got.read_chunk() == b"half"
        for _ in range(2):
            with pytest.raises(UpstreamServerError):
                await got.read_chunk()


async def test_an_aborted_answer_gives_no_more() -> None:
    """As a real one."""
    transport = RecordedTransport([Exchange(parts=(b"one", b"two"))])
    async with exchange(transport, URL) as got:
        await got.read_chunk()
        got.abort()
        got.abort()
        with pytest.raises(LocalAgentError):
            await got.read_chunk()


async def test_caps_hold() -> None:
    """The transport's own raises, the caller's cuts."""
    transport = RecordedTransport([Exchange(parts=(b"12345", b"67890"))] * 2, SizeLimits(body=9))
    with pytest.raises(ResponseTooLarge):
        await fetch(transport, URL)
    async with exchange(transport, URL) as got:
        assert await got.read(3) == b"123"


# Recording ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def real() -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(HERE)
    try:
        yield transport
    finally:
        await transport.aclose()


async def test_what_was_recorded_plays_again(tmp_path: Path) -> None:
    """Answers whole and in parts, bytes that are not text, refusals, cut bodies and failed connections."""
    path = tmp_path / "tape.json"
    scripts = [
        (ReadRequest(), Send(answer(200, {"text": "é"}, {"X-Own": "1"}))),
        (ReadRequest(), Send(head(200, {"Transfer-Encoding": "chunked"}) + chunk(b"\xff\x00") + chunked([]))),
        (ReadRequest(), Send(answer(429, {"error": "slowly"}, {"Retry-After": "7"}))),
        (ReadRequest(), Send(head(200, {"Content-Length": "9"}) + b"half"), Close()),
    ]

    async def play(transport: AiohttpTransport | Recorder | RecordedTransport, url: str, nowhere: str) -> list[object]:
        seen: list[object] = []
        for _ in range(3):
            async with exchange(transport, url + "/v1/x", body=b"asked") as got:
                own = {name: got.headers[name] for name in ("X-Own", "Retry-After") if name in got.headers}
                seen += [got.status, own, await got.read()]
        for address in (url, nowhere):
            with pytest.raises(LocalAgentError) as caught:
                await fetch(transport, address)
            seen += [type(caught.value), caught.value.message, caught.value.phase]
        return seen

    with nobody_listens() as nowhere:
        async with FaultServer(list(scripts)) as server, real() as inner, recording(inner, path) as recorder:
            live = await play(recorder, server.url, nowhere)
        assert await play(replay(path), "http://elsewhere.invalid", "http://nowhere.invalid") == live


async def test_a_cassette_can_be_read_and_holds_no_secret(tmp_path: Path) -> None:
    """Headers and query fields that speak of secrets are starred, in both directions; bodies stand as text."""
    path = tmp_path / "tape.json"
    script = (ReadRequest(), Send(answer(200, b"said", {"Set-Cookie": CANARY_KEY, "X-Auth-Token": CANARY_KEY})))
    headers = {"Authorization": f"Bearer {CANARY_KEY}", "X-Api-Key": CANARY_KEY, "X-Own": "1"}
    async with FaultServer(script) as server, real() as inner:
        recorder = Recorder(inner)
        async with exchange(recorder, f"{server.url}/x?key={CANARY_KEY}&a=b", headers=headers, body=b"asked") as got:
            await got.read()
        assert got.headers["Set-Cookie"] == CANARY_KEY
        recorder.save(path)
    assert CANARY_KEY not in path.read_text()
    (taped,) = json.loads(path.read_text())["exchanges"]
    assert (taped["request"]["body"], taped["parts"]) == ("asked", ["said"])
    assert taped["request"]["headers"] == {"Authorization": "***", "X-Api-Key": "***", "X-Own": "1"}
    assert taped["request"]["url"] == f"{server.url}/x?key=***&a=b"


async def test_another_request_than_the_recorded_one_is_a_mistake(tmp_path: Path) -> None:
    """Method and path must be the same; the host may differ."""
    path = tmp_path / "tape.json"
    async with (
        FaultServer((ReadRequest(), Send(answer(200, b"said")))) as server,
        real() as inner,
        recording(inner, path) as recorder,
    ):
        await fetch(recorder, server.url + "/v1/x")
    with pytest.raises(AssertionError, match=r"the recorded request is POST /v1/x, but got POST /v1/y"):
        await fetch(replay(path), "http://elsewhere.invalid/v1/y")


async def test_a_stream_that_was_left_is_recorded_as_far_as_it_was_read(tmp_path: Path) -> None:
    """And closed, as without a recorder."""
    script = (ReadRequest(), Send(head(200, {"Transfer-Encoding": "chunked"}) + chunk(b"one") + chunk(b"two")))
    async with FaultServer(script) as server, real() as inner:
        recorder = Recorder(inner)
        async with exchange(recorder, server.url) as got:
            await got.read_chunk()
            assert not got.ended
            got.abort()
        assert b"".join(recorder.exchanges[0].parts).startswith(b"one")
        await recorder.aclose()


async def test_a_client_can_run_on_a_cassette() -> None:
    """A plugin brings the transport; the whole pipeline runs without a network."""
    chat = b'{"choices":[{"index":0,"message":{"content":"from tape"},"finish_reason":"stop"}]}'
    events = sse([{"choices": [{"index": 0, "delta": {"content": "taped"}, "finish_reason": "stop"}]}, "[DONE]"])
    tape = RecordedTransport([Exchange(parts=(chat,)), Exchange(parts=(events[:20], events[20:]))])

    class Tape(Plugin):
        name = "connect-tape"

        @hookimpl
        def connect(self) -> RecordedTransport:
            return tape

        @hookimpl
        def provide(self) -> list[ProviderType]:
            def make(setup: object) -> OpenAICompatible:
                return OpenAICompatible(setup, *setup.instances("http://tape.invalid/v1"))  # type: ignore[arg-type, attr-defined]

            return [ProviderType("tape", NoSettings, make)]

    async with Client({"providers": {"tape": {}}}, plugins=[Tape], environment={}) as client:
        assert (await client.chat("Hello.", model="tape/m")).text == "from tape"
        async with client.stream("Hello.", model="tape/m") as stream:
            assert await stream.text() == "taped"
    assert [sent.url for sent in tape.sent] == ["http://tape.invalid/v1/chat/completions"] * 2
    assert tape.closed
