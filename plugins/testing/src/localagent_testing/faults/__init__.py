"""The fault table: what can go wrong between a client and a model server, byte for byte, and the expected results.

Every row is data. ``FAULTS`` lists all of them in order, ``play`` lets one happen to a sender of requests (a provider,
a transport, a gateway) and judges the outcome::

    for fault in FAULTS:
        for protocol in fault.protocols:
            verdict = await play(fault, protocol, call)

Rows with several forms are named ``F18.nan``, ``F18.huge``. Rows that cannot be shown with one call to one server are
also listed, with the reason.
"""

from __future__ import annotations

from localagent_testing.faults import (
    after_headers,
    answers,
    before_headers,
    breakdowns,
    ollama,
    refusals,
    stream_content,
    stream_encoding,
    throttling,
)
from localagent_testing.faults.driver import Call, play
from localagent_testing.faults.expectations import NO_HINT, Expect, Hint, Says
from localagent_testing.faults.records import CALM, SECTIONS, Ask, Fault, Heard, Operation, ProtocolName, Verdict
from localagent_testing.faults.stages import CannotShow, Stage, stage

__all__ = [
    "CALM",
    "FAULTS",
    "NO_HINT",
    "SECTIONS",
    "Ask",
    "Call",
    "CannotShow",
    "Expect",
    "Fault",
    "Heard",
    "Hint",
    "Operation",
    "ProtocolName",
    "Says",
    "Stage",
    "Verdict",
    "fault",
    "play",
    "stage",
]

_MODULES = (
    refusals,
    throttling,
    breakdowns,
    answers,
    before_headers,
    after_headers,
    stream_content,
    stream_encoding,
    ollama,
)

#: Every row, in order of its number.
FAULTS: tuple[Fault, ...] = tuple(sorted((row for module in _MODULES for row in module.ROWS), key=lambda row: row.row))


def fault(id_: str) -> Fault:
    """Return the row with an id.

    Raises:
        KeyError: There is no such row.
    """
    for row in FAULTS:
        if row.id == id_:
            return row
    raise KeyError(id_)
