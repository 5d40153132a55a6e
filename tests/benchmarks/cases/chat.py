"""``Client.chat`` beside a bare session, over a socket."""

from __future__ import annotations

import aiohttp
from bench import Bench
from measure import compare, contender
from report import Row

from cases import bare, clients
from cases.peers import chat_peers

CASE = "chat"
BARE, AGAIN, OURS = "bare aiohttp session and msgspec", "A/A: another bare session", "Client.chat"
CALLERS = 16
BARE_AT_ONCE, OURS_AT_ONCE = f"{BARE}, {CALLERS} callers", f"{OURS}, {CALLERS} callers"
TARGET = 1.25


async def rows(bench: Bench) -> list[Row]:
    """Compare whole answers: request encoded, sent, read, decoded, text taken."""
    return [*await _one_by_one(bench), *await _at_once(bench), *await _peers(bench)]


async def _one_by_one(bench: Bench) -> list[Row]:
    async with (
        aiohttp.ClientSession() as session,
        aiohttp.ClientSession() as another,
        clients.client(bench.server) as client,
    ):
        contenders = [
            contender(BARE, bare.chats(session, bench.server)),
            contender(AGAIN, bare.chats(another, bench.server)),
            contender(OURS, clients.chats(client)),
        ]
        samples = await compare(contenders, rounds=bench.rounds, turns=24, size=4, before=1)
    return [
        Row(case=CASE, what=BARE, cost=samples.cost(BARE), note="the baseline"),
        Row(case=CASE, what=AGAIN, cost=samples.cost(AGAIN), figure=samples.ratio(AGAIN, BARE)),
        Row(case=CASE, what=OURS, cost=samples.cost(OURS), figure=samples.ratio(OURS, BARE), target=TARGET),
    ]


async def _at_once(bench: Bench) -> list[Row]:
    async with aiohttp.ClientSession() as session, clients.client(bench.server) as client:
        contenders = [
            contender(BARE_AT_ONCE, bare.at_once(bare.chats(session, bench.server), CALLERS)),
            contender(OURS_AT_ONCE, bare.at_once(clients.chats(client), CALLERS)),
        ]
        samples = await compare(contenders, rounds=bench.rounds, turns=6, size=CALLERS)
    ours, ratio = samples.cost(OURS_AT_ONCE), samples.ratio(OURS_AT_ONCE, BARE_AT_ONCE)
    return [
        Row(case=CASE, what=BARE_AT_ONCE, cost=samples.cost(BARE_AT_ONCE)),
        Row(case=CASE, what=OURS_AT_ONCE, cost=ours, figure=ratio, note="against as many callers of a bare session"),
    ]


async def _peers(bench: Bench) -> list[Row]:
    async with aiohttp.ClientSession() as session, chat_peers(bench) as peers:
        contenders = [contender(BARE, bare.chats(session, bench.server)), *peers]
        samples = await compare(contenders, rounds=bench.rounds, turns=4, size=8, before=1)
    return [
        Row(case=CASE, what=peer.name, cost=samples.cost(peer.name), figure=samples.ratio(peer.name, BARE))
        for peer in peers
    ]
