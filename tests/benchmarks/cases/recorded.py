"""``Client.chat`` over transports without a socket: what the pipeline and the provider cost by themselves."""

from __future__ import annotations

from answers import LARGE_MESSAGES, whole_body
from bench import Bench
from machine import calibration
from measure import Run, compare, contender
from report import Row

from cases import clients
from cases.memory_transport import MemoryTransport, bringing
from localagent_testing.recorded import Exchange, RecordedTransport

CASE = "no socket"
SMALL = "Client.chat, transport in memory"
LARGE = "Client.chat, transport in memory, request of 4 KB"
KIT = "Client.chat, RecordedTransport of the test kit"
TARGET = 25.0
TURNS, SIZE, BEFORE = 20, 20, 5


async def rows(bench: Bench) -> list[Row]:
    """Measure calls without a socket."""
    memory = bringing(MemoryTransport(whole_body()))
    recorded = RecordedTransport(lambda request: Exchange(parts=(whole_body(),)))
    async with (
        clients.client(clients.NOWHERE, memory) as client,
        clients.client(clients.NOWHERE, bringing(recorded)) as kit,
    ):
        contenders = [
            contender(SMALL, clients.chats(client)),
            contender(LARGE, clients.chats(client, LARGE_MESSAGES)),
            contender(KIT, _forgetting(clients.chats(kit), recorded)),
            calibration(1 / SIZE),
        ]
        samples = await compare(contenders, rounds=4 * bench.rounds, turns=TURNS, size=SIZE, before=BEFORE)
    return [
        Row(case=CASE, what=name, figure=samples.cost(name), unit="us", normalised=samples.normalised(name),
            target=TARGET)
        for name in (SMALL, LARGE, KIT)
    ]  # fmt: skip


def _forgetting(run: Run, transport: RecordedTransport) -> Run:
    """Have the transport forget what it was sent: it would keep all of it."""

    async def run_and_forget(number: int) -> None:
        await run(number)
        transport.sent.clear()

    return run_and_forget
