"""Other gateways beside ``localagent serve`` and the bare proxy: each is run as its documentation says for production.

Each is compared by itself. Some close a connection that nobody used for five seconds, so the turns of the others must
not add up to that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

from bench import Bench
from gateways.litellm_proxy import litellm
from gateways.ours import gateway
from gateways.portkey import portkey
from gateways.processes import LeftOut, Proxy, can_measure, load_on_its_core, program
from gateways.upstream import upstream
from report import Row

from cases.bounds import left_out
from cases.side_by_side import Entrant, side_by_side

CASE = "peers"
LOOP = "asyncio"


class Peer(NamedTuple):
    """Another gateway.

    Attributes:
        name: Its name where it cannot take part.
        run: Runs it in front of an upstream's port.
        share: Its part of the whole answers of a turn.
    """

    name: str
    run: Callable[[int], AbstractContextManager[Proxy]]
    share: float


PEERS = (Peer("LiteLLM proxy", litellm, 0.25), Peer("Portkey gateway", portkey, 0.5))


async def rows(bench: Bench) -> list[Row]:
    """Compare those that can be installed, if peers were asked for; report why the others cannot."""
    if not bench.peers or not can_measure():
        return []
    found = []
    for peer in PEERS:
        found += await _beside(peer, bench.rounds)
    return found


async def _beside(peer: Peer, rounds: int) -> list[Row]:
    with load_on_its_core(), ExitStack() as stack:
        async with upstream() as (fake, port):
            try:
                other = stack.enter_context(peer.run(port))
            except LeftOut as why:
                return [left_out(CASE, peer.name, str(why))]
            beside = f", beside {peer.name}"
            bare = stack.enter_context(program("bare_proxy", f"bare aiohttp proxy{beside}", port, LOOP))
            ours = stack.enter_context(gateway(f"localagent serve{beside}", port, LOOP))
            return await side_by_side(CASE, [Entrant(bare), Entrant(ours), Entrant(other, peer.share)], fake, rounds)
