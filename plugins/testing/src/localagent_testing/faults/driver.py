"""Plays a fault against a sender of requests, and reports whether the outcome is the expected one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import attrs

from localagent.timing import Timeouts
from localagent_testing.canaries import CANARY_PROMPT
from localagent_testing.faults.checks import complaints
from localagent_testing.faults.dialects import DIALECTS
from localagent_testing.faults.records import Ask, Fault, Heard, ProtocolName, Verdict
from localagent_testing.faults.stages import CannotShow, Stage, stage

#: Sends one request: base address, what to ask, timeouts. Returns the answer, or raises.
Call: TypeAlias = Callable[[str, Ask, Timeouts], Awaitable[Heard]]

CLOSING_TIME = 2.0


@attrs.frozen
class _Player:
    fault: Fault
    protocol: ProtocolName
    call: Call
    ceiling: float


async def play(fault: Fault, protocol: ProtocolName, call: Call, *, ceiling: float = 10.0) -> Verdict:
    """Arrange a fault, let it happen to a call, and judge the outcome.

    In addition to the expectations of the fault: no error may contain control characters, or the canary key or prompt
    that are sent; a second server of the set-up must not be contacted; the call must end within the ceiling.

    Args:
        fault: The fault.
        protocol: The protocol.
        call: The tester's function. It gets the base address (``http://127.0.0.1:PORT``, with ``/v1`` for openai), what
            to ask and the timeouts. It raises the ``LocalAgentError`` or returns the answer, and reports streamed text
            through ``ask.heard()``. All calls of one play must share one client, because some faults concern kept or
            used-up connections. The client must outlive the play.
        ceiling: Seconds after which an unfinished call is cancelled, and the fault counts as failed.

    Returns:
        The verdict. A row that is excluded, or that this machine cannot show, is neither shown nor passed.

    Raises:
        ValueError: The fault does not exist in the protocol.
    """
    if fault.excluded is not None:
        return Verdict(fault.id, protocol, passed=False, detail=fault.excluded, shown=False)
    if protocol not in fault.protocols:
        raise ValueError(f"{fault.id} does not exist in the protocol {protocol}")
    fault = _as_met_by(protocol, fault)
    try:
        async with stage(fault, protocol) as arranged:
            wrong = await _judge(_Player(fault, protocol, call, ceiling), arranged)
    except CannotShow as reason:
        return Verdict(fault.id, protocol, passed=False, detail=str(reason), shown=False)
    return Verdict(fault.id, protocol, passed=not wrong, detail="; ".join(wrong))


def _as_met_by(protocol: ProtocolName, fault: Fault) -> Fault:
    """Return the fault as it appears in a protocol: if servers load models on demand, a silent one may be loading."""
    if protocol != "ollama" or fault.expect.phase != "first_token" or fault.timeouts.first_token is None:
        return fault
    return attrs.evolve(fault, timeouts=attrs.evolve(fault.timeouts, load=fault.timeouts.first_token))


async def _judge(player: _Player, arranged: Stage) -> list[str]:
    fault = player.fault
    wrong: list[str] = []
    if fault.warm and not isinstance(first := await _attempt(player, arranged), Heard):
        wrong.append(f"the call before it failed: {first!r}")
    with _loud_records() as loud:
        async with _call_beside(player, arranged) as wrong_beside:
            with arranged.during():
                outcome = await _attempt(player, arranged)
    wrong += wrong_beside
    wrong += complaints(fault.expect, outcome)
    if fault.expect.quiet:
        wrong += (f"it was logged: {record}" for record in loud)
    if fault.expect.recovers and not isinstance(after := await _attempt(player, arranged), Heard):
        wrong.append(f"the call after it failed: {after!r}")
    return wrong + [complaint async for complaint in _wrong_on_the_wire(fault, arranged)]


async def _attempt(player: _Player, arranged: Stage) -> Heard | BaseException:
    url = arranged.url + DIALECTS[player.protocol].prefix
    limit = asyncio.timeout(player.ceiling)
    try:
        async with limit:
            return await player.call(url, _ask(player, arranged), player.fault.timeouts)
    except Exception as error:  # the code under test may raise anything; the checks judge it
        return RuntimeError(f"it did not end within {player.ceiling:g} s") if limit.expired() else error


def _ask(player: _Player, arranged: Stage) -> Ask:
    fault = player.fault
    return Ask(
        protocol=player.protocol,
        operation=fault.operation,
        prompt=CANARY_PROMPT.ljust(fault.prompt_size, "."),
        choices=fault.choices,
        size_limits=fault.size_limits,
        pool_limit=arranged.pool_limit,
        authority=arranged.authority,
        heard=arranged.server.release if arranged.server else bool,
    )


@asynccontextmanager
async def _call_beside(player: _Player, arranged: Stage) -> AsyncIterator[list[str]]:
    """Keep another call running, from the arrival of its request; cancel it at the end.

    Yields:
        The problems with it.
    """
    if not player.fault.beside or arranged.server is None:
        yield []
        return
    loop = asyncio.get_running_loop()
    other, arrival = loop.create_task(_attempt(player, arranged)), loop.create_task(arranged.server.arrived())
    try:
        await asyncio.wait((other, arrival), timeout=player.ceiling, return_when=asyncio.FIRST_COMPLETED)
        yield [] if arrival.done() else ["the request of the call beside it did not arrive"]
    finally:
        other.cancel()
        arrival.cancel()
        await asyncio.gather(other, arrival, return_exceptions=True)


async def _wrong_on_the_wire(fault: Fault, arranged: Stage) -> AsyncIterator[str]:
    if arranged.second is not None and arranged.second.connections.accepted:
        yield f"the second server was contacted ({arranged.second.received} bytes)"
    server = arranged.server
    if server is None:
        return
    if fault.expect.closed:
        try:
            await asyncio.wait_for(server.all_closed(), CLOSING_TIME)
        except TimeoutError:
            yield "the connection was not closed"
    if fault.expect.requests is not None and len(server.requests) != fault.expect.requests:
        yield f"the server read {len(server.requests)} requests instead of {fault.expect.requests}"


class _Loud(logging.Handler):
    """Keeps log records above INFO."""

    def __init__(self) -> None:
        super().__init__(logging.INFO + 1)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def _loud_records() -> Iterator[list[str]]:
    handler = _Loud()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.records
    finally:
        logging.getLogger().removeHandler(handler)
