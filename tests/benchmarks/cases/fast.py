"""``Client.chat`` and ``Client.stream`` through the plugin connect-fast, beside a bare aiohttp session."""

from __future__ import annotations

import aiohttp
from answers import EVENTS
from bench import Bench
from measure import Contender, compare, contender
from report import Row

from cases import bare, clients
from localagent_connect_fast import FastConnectPlugin

CASE = "fast"
BARE_CHAT, CHAT = "bare aiohttp session and msgspec", "Client.chat, connect-fast"
BARE_STREAM, STREAM = "bare session, events split and decoded", "Client.stream, connect-fast"
CALLERS = 16
CHAT_TARGET, STREAM_TARGET = 0.5, 0.6


async def rows(bench: Bench) -> list[Row]:
    """Compare chats one by one and many at once, and streams in few pieces and in many."""
    return [
        *await _chats(bench, 1, turns=24, size=4),
        *await _chats(bench, CALLERS, turns=6, size=CALLERS),
        *await _streams(bench, 20, turns=12),
        *await _streams(bench, EVENTS + 1, turns=4),
    ]


async def _chats(bench: Bench, callers: int, turns: int, size: int) -> list[Row]:
    async with aiohttp.ClientSession() as session, clients.client(bench.server, FastConnectPlugin) as client:
        contenders = [
            contender(BARE_CHAT, bare.at_once(bare.chats(session, bench.server), callers)),
            contender(CHAT, bare.at_once(clients.chats(client), callers)),
        ]
        how = "" if callers == 1 else f", {callers} callers"
        return await _compared(bench, contenders, how, CHAT_TARGET, turns=turns, size=size)


async def _streams(bench: Bench, pieces: int, turns: int) -> list[Row]:
    server = f"{bench.server}/{pieces}"
    async with aiohttp.ClientSession() as session, clients.client(server, FastConnectPlugin) as client:
        contenders = [
            contender(BARE_STREAM, bare.streams(session, server)),
            contender(STREAM, clients.streams(client)),
        ]
        return await _compared(
            bench, contenders, f"; {EVENTS} events in {pieces} pieces", STREAM_TARGET, turns=turns, size=1
        )


async def _compared(
    bench: Bench, contenders: list[Contender], how: str, target: float, *, turns: int, size: int
) -> list[Row]:
    theirs, ours = (each.name for each in contenders)
    samples = await compare(contenders, rounds=bench.rounds, turns=turns, size=size)
    return [
        Row(case=CASE, what=theirs + how, cost=samples.cost(theirs), note="the baseline"),
        Row(case=CASE, what=ours + how, cost=samples.cost(ours), figure=samples.ratio(ours, theirs), target=target),
    ]
