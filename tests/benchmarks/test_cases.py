"""Every case runs: the contenders do the work that they are compared by. No time is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from answers import MESSAGES, TEXT, words
from bench import Bench
from cases import bare, clients, gateway, noops
from cases.counting import calls_a_chunk
from cases.peers import chat_peers, stream_peers
from gateways.processes import can_measure
from loopback_server import serving
from measure import Contender, Run, contender

from localagent import Client


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The loopback server."""
    with serving() as url:
        yield url


async def run_all(contenders: list[Contender]) -> None:
    for one in contenders:
        assert await one.spend(1, 0) > 0


def test_our_client_gets_the_answers_of_the_server(server: str) -> None:
    """Whole answers and streams in few and many pieces are what the server holds."""

    async def main() -> None:
        for path in ("/20", "/201"):
            async with clients.client(server + path) as client:
                assert (await client.chat(MESSAGES, model=clients.TARGET)).text == TEXT
                async with client.stream(MESSAGES, model=clients.TARGET) as stream:
                    assert await stream.text() == "".join(words())

    asyncio.run(main())


def test_the_baselines_and_the_peers_get_the_same(server: str) -> None:
    """Every contender checks its answer, and says what it took of the processor."""

    async def main() -> list[int]:
        import aiohttp

        reads: list[int] = []
        async with aiohttp.ClientSession() as session:
            whole = bare.at_once(bare.chats(session, server), 2)
            await run_all(
                [contender("whole", whole), contender("streamed", bare.streams(session, f"{server}/20", reads))]
            )
        async with chat_peers(Bench(server, 1)) as peers:
            await run_all(peers)
        async with stream_peers(f"{server}/20") as peers:
            await run_all(peers)
        return reads

    reads = asyncio.run(main())
    assert len(reads) == 1
    assert reads[0] > 1


@pytest.mark.parametrize("check", [clients.chats, clients.streams])
def test_a_contender_with_another_text_fails(
    server: str, check: Callable[[Client], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the contenders assert is the text: nobody is measured who does other work."""
    monkeypatch.setattr(clients, "TEXT", "another text")
    monkeypatch.setattr(clients, "words", lambda: ["another", "text"])

    async def main() -> None:
        async with clients.client(f"{server}/20") as client:
            await check(client)(1)

    with pytest.raises(AssertionError):
        asyncio.run(main())


@pytest.mark.skipif(not can_measure(), reason="reads what Linux tells of other processes")
@pytest.mark.parametrize("stream", [False, True])
def test_the_gateway_and_the_bare_proxy_give_what_the_upstream_sent(stream: bool) -> None:
    """Whole answers and streams; each process says what it took of the processor and of memory."""

    async def main() -> None:
        async with gateway.field("asyncio") as field, gateway.contests(field, 2, stream=stream) as contests:
            for one in contests:
                assert await one.contender().spend(4, 2) > 0
                assert one.crowd.errors == 0
                assert one.proxy.resident() > 0

    asyncio.run(main())


def test_steps_that_do_not_wrap_streams_add_no_call_to_a_chunk() -> None:
    """You pay for what you installed: counted in function calls, which are the same on every machine."""

    async def main() -> tuple[float, float]:
        return await calls_a_chunk(200, 10), await calls_a_chunk(200, 10, noops.plugin(*noops.ALL))

    plain, with_steps = asyncio.run(main())
    assert plain > 1
    assert with_steps == pytest.approx(plain, abs=0.05)
