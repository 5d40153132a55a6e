"""What a step that does nothing adds to a call, and to a chunk of a stream."""

from __future__ import annotations

from contextlib import AsyncExitStack

from answers import pieces, whole_body, words
from bench import Bench
from machine import calibration
from measure import Samples, Spread, compare, contender
from report import Row

from cases import clients, noops
from cases.counting import calls_a_chunk
from cases.memory_transport import MemoryTransport, bringing
from localagent import Client, Plugin

CASE = "no-op step"
PLAIN, AGAIN, STEPS = "no step", "no step, once more", "all steps"
SYNC_TARGET, ASYNC_TARGET = 1.0, 2.0
TURNS, SIZE, BEFORE = 40, 20, 5
FURTHER = 8
EVENTS, PIECES = 2000, 100
MIDDLE = "median and middle half"


async def rows(bench: Bench) -> list[Row]:
    """Measure what no-op steps add."""
    return [*await _calls(bench), *await _chunks(bench)]


async def _calls(bench: Bench) -> list[Row]:
    memory = bringing(MemoryTransport(whole_body()))
    sets: dict[str, list[type[Plugin]]] = {PLAIN: [], AGAIN: []}
    for hook in (*noops.SYNC, *noops.ASYNC):
        sets[hook] = [noops.plugin(hook)]
        sets[_several(hook)] = [noops.plugin(hook, number=number) for number in range(FURTHER + 1)]
    async with AsyncExitStack() as stack:
        runs = {name: clients.chats(await _open(stack, memory, *plugins)) for name, plugins in sets.items()}
        contenders = [*(contender(name, run) for name, run in runs.items()), calibration(1 / SIZE)]
        samples = await compare(contenders, rounds=2 * bench.rounds, turns=TURNS, size=SIZE, before=BEFORE)
    return [_band_row(samples), *(row for hook in (*noops.SYNC, *noops.ASYNC) for row in _step_rows(samples, hook))]


def _several(hook: str) -> str:
    return f"{hook} x {FURTHER + 1}"


async def _open(stack: AsyncExitStack, *plugins: type[Plugin]) -> Client:
    return await stack.enter_async_context(clients.client(clients.NOWHERE, *plugins))


def _band_row(samples: Samples) -> Row:
    return Row(case=CASE, what="A/A: two clients without a step", cost=samples.cost(AGAIN),
               figure=samples.difference(AGAIN, PLAIN), unit="us", normalised=samples.normalised(AGAIN, PLAIN),
               note=MIDDLE)  # fmt: skip


def _step_rows(samples: Samples, hook: str) -> list[Row]:
    kind, target = ("sync", SYNC_TARGET) if hook in noops.SYNC else ("async", ASYNC_TARGET)
    several, each = _several(hook), 1 / FURTHER
    return [
        Row(case=CASE, what=f"{hook} ({kind}), the only step", cost=samples.cost(hook),
            figure=samples.difference(hook, PLAIN), unit="us", normalised=samples.normalised(hook, PLAIN),
            target=target, note=MIDDLE),
        Row(case=CASE, what=f"{hook} ({kind}), each further step", figure=samples.difference(several, hook).times(each),
            unit="us", normalised=samples.normalised(several, hook).times(each), target=target,
            note=f"{MIDDLE}; mean of {FURTHER}"),
    ]  # fmt: skip


async def _chunks(bench: Bench) -> list[Row]:
    memory = bringing(MemoryTransport(*pieces(PIECES, EVENTS)))
    steps = noops.plugin(*noops.ALL)
    async with AsyncExitStack() as stack:
        opened = {
            PLAIN: await _open(stack, memory),
            AGAIN: await _open(stack, memory),
            STEPS: await _open(stack, memory, steps),
        }
        contenders = [contender(name, clients.streams(client, words(EVENTS))) for name, client in opened.items()]
        samples = await compare(contenders, rounds=3 * bench.rounds, turns=4, size=1)
    counted = await calls_a_chunk(EVENTS, PIECES, steps) - await calls_a_chunk(EVENTS, PIECES)
    return [*_chunk_rows(samples), _counted_row(counted)]


def _chunk_rows(samples: Samples) -> list[Row]:
    """The target is the noise itself: the middle half of what two equal clients differ by."""
    nanoseconds = 1000 / EVENTS
    band = samples.difference(AGAIN, PLAIN).times(nanoseconds)
    added = samples.difference(STEPS, PLAIN).times(nanoseconds)
    noise = max(abs(band.low), abs(band.high))
    what = f"a chunk of a stream of {EVENTS} events"
    return [
        Row(case=CASE, what=f"A/A: {what}", figure=band, unit="ns", note=MIDDLE),
        Row(case=CASE, what=f"{what}: {len(noops.ALL)} steps, none of them wrap_stream", figure=added, unit="ns",
            target=noise, note=f"{MIDDLE}; the target is the band of A/A"),
    ]  # fmt: skip


def _counted_row(counted: float) -> Row:
    return Row(case=CASE, what="function calls that these steps add to a chunk", figure=Spread.of([round(counted, 2)]),
               unit="calls", target=0.0, note="counted, not timed")  # fmt: skip
