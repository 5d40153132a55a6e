"""``Client.stream`` beside a bare session that splits and decodes the same events, over a socket."""

from __future__ import annotations

import statistics

import aiohttp
from answers import EVENTS
from bench import Bench
from measure import compare, contender
from report import Row

from cases import bare, clients
from cases.peers import stream_peers

CASE = "stream"
BARE, OURS = "bare session, events split and decoded", "Client.stream"
TARGET = 1.25


async def rows(bench: Bench) -> list[Row]:
    """Compare streams of 200 events, in few pieces and in many."""
    few, many = f"{bench.server}/20", f"{bench.server}/{EVENTS + 1}"
    return [
        *await _ours(bench, few, f"{EVENTS} events in 20 pieces", turns=12),
        *await _peers(bench, few, f"{EVENTS} events in 20 pieces"),
        *await _ours(bench, many, f"{EVENTS} events, one a piece", turns=4),
        *await _peers(bench, many, f"{EVENTS} events, one a piece"),
    ]


async def _ours(bench: Bench, server: str, serving: str, turns: int) -> list[Row]:
    reads: list[int] = []
    async with aiohttp.ClientSession() as session, clients.client(server) as client:
        contenders = [
            contender(BARE, bare.streams(session, server, reads)),
            contender(OURS, clients.streams(client)),
        ]
        samples = await compare(contenders, rounds=bench.rounds, turns=turns, size=1)
    note = f"the baseline; {statistics.mean(reads):.0f} reads a stream"
    ours, ratio = samples.cost(OURS), samples.ratio(OURS, BARE)
    return [
        Row(case=CASE, what=f"{BARE}; {serving}", cost=samples.cost(BARE), note=note),
        Row(case=CASE, what=f"{OURS}; {serving}", cost=ours, figure=ratio, target=TARGET),
    ]


async def _peers(bench: Bench, server: str, serving: str) -> list[Row]:
    async with aiohttp.ClientSession() as session, stream_peers(server) as peers:
        contenders = [contender(BARE, bare.streams(session, server)), *peers]
        samples = await compare(contenders, rounds=max(7, bench.rounds // 3), turns=1, size=1)
    return [
        Row(case=CASE, what=f"{peer.name}; {serving}", cost=samples.cost(peer.name),
            figure=samples.ratio(peer.name, BARE))
        for peer in peers
    ]  # fmt: skip
