"""Every case runs: the contenders do the work that they are compared by. No time is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from bench import Bench
from cases import bare, clients, gateway, noops
from cases.counting import calls_a_chunk
from cases.peers import chat_peers, stream_peers
from gateways.processes import can_measure
from loopback_server import serving
from measure import Contender


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
                await clients.chats(client)(2)
                await clients.streams(client)(2)

    asyncio.run(main())


def test_the_baselines_and_the_peers_get_the_same(server: str) -> None:
    """Every contender checks its answer."""

    async def main() -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            await bare.at_once(bare.chats(session, server), 2)(4)
            await bare.streams(session, f"{server}/20")(1)
        async with chat_peers(Bench(server, 1)) as peers:
            await run_all(peers)
        async with stream_peers(f"{server}/20") as peers:
            await run_all(peers)

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
