"""The records of the fault table: the fault, the request, and the outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import attrs

from localagent import Usage
from localagent.records import SizeLimits
from localagent.timing import Timeouts
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT
from localagent_testing.fault_server import Scripts
from localagent_testing.faults.dialects import Dialect
from localagent_testing.faults.expectations import Expect

ProtocolName: TypeAlias = Literal["openai", "ollama"]
Operation: TypeAlias = Literal["chat", "stream"]

OPENAI: tuple[ProtocolName, ...] = ("openai",)
OLLAMA: tuple[ProtocolName, ...] = ("ollama",)
BOTH: tuple[ProtocolName, ...] = ("openai", "ollama")

#: Timeouts that no row reaches. A row about a timeout shortens only that one, so the error shows which one expired.
CALM = Timeouts(connect=3.0, pool=3.0, send=3.0, load=3.0, first_token=3.0, idle=3.0, total=8.0)

CAPS = SizeLimits()

SECTIONS = {
    "answers": range(1, 51),
    "before the headers": range(51, 72),
    "after the headers": range(72, 85),
    "stream content": range(85, 107),
    "ollama": range(107, 119),
}


def calm(**timeouts: float) -> Timeouts:
    """Return the calm timeouts with some of them changed, in seconds."""
    return attrs.evolve(CALM, **timeouts)


@attrs.frozen
class Scene:
    """The circumstances for which a script is made.

    Attributes:
        dialect: Builds messages of the protocol under test.
        elsewhere: Address of a second server, if the set-up has one.
    """

    dialect: Dialect
    elsewhere: str = ""


@attrs.frozen
class Ask:
    """The request that the tester's call must send.

    Attributes:
        protocol: The protocol under test.
        operation: ``chat`` for a complete answer, ``stream`` for a streamed one.
        model: The model's name.
        prompt: The text of the only message, from the user.
        key: The key.
        choices: How many answers to ask for (``n``).
        size_limits: Size limits to set.
        pool_limit: Connections that may be open at a time.
        authority: A certificate authority (PEM file) to trust; None for the system's.
        heard: To be called each time text of a stream was returned.
    """

    protocol: ProtocolName
    operation: Operation
    model: str = "faulty"
    prompt: str = CANARY_PROMPT
    key: str = CANARY_KEY
    choices: int = 1
    size_limits: SizeLimits = CAPS
    pool_limit: int = 8
    authority: Path | None = None
    heard: Callable[[], object] = bool


@attrs.frozen
class Heard:
    """The answer of a successful call; a stream's chunks are joined.

    Attributes:
        text: Text of the first choice.
        usage: Tokens, when the server reported them.
        model: The model that the answer names.
        tool_calls: Name and arguments (as JSON text) of each tool call, by index.
    """

    text: str = ""
    usage: Usage | None = None
    model: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Fault:
    """One fault, in one form.

    Attributes:
        id: ``F14``, or ``F18.nan`` if a row of the table has several forms.
        title: The fault in one line.
        script: Makes the server's script; None if the set-up has no server of ours.
        expect: The expected outcome.
        protocols: The protocols in which it can happen.
        operation: The operation to call.
        timeouts: Timeouts to set.
        size_limits: Size limits to set.
        setup: Name of the set-up around the call; see ``localagent_testing.faults.stages``.
        prompt_size: Bytes to which the prompt is extended; 0 leaves it unchanged.
        choices: How many answers to ask for.
        warm: Whether a successful call comes first, so that a kept connection is available.
        beside: Whether another call is running, whose answer does not come.
        retried: The expected outcome with failure-retry; None if that makes no difference.
        excluded: Why one call to one server cannot show it; None when it can.
    """

    id: str
    title: str
    script: Callable[[Scene], Scripts] | None = None
    expect: Expect = Expect()
    protocols: tuple[ProtocolName, ...] = BOTH
    operation: Operation = "chat"
    timeouts: Timeouts = CALM
    size_limits: SizeLimits = CAPS
    setup: str = "server"
    prompt_size: int = 0
    choices: int = 1
    warm: bool = False
    beside: bool = False
    retried: Expect | None = None
    excluded: str | None = None

    @property
    def row(self) -> int:
        """The number of its row: 18 for ``F18.nan``."""
        return int(self.id.partition(".")[0][1:])

    @property
    def section(self) -> str:
        """The name of the section that its row is in."""
        return next(name for name, rows in SECTIONS.items() if self.row in rows)


def excluded(id_: str, title: str, reason: str, protocols: tuple[ProtocolName, ...] = BOTH) -> Fault:
    """Return a row that one call to one server cannot show, with the reason."""
    return Fault(id_, title, excluded=reason, protocols=protocols)


@attrs.frozen
class Verdict:
    """The result of playing a fault.

    Attributes:
        id: The fault.
        protocol: The protocol.
        passed: Whether all expectations were met.
        detail: The expectations that were not met; for a fault that was not shown, the reason.
        shown: False when the row is excluded or this machine cannot show it.
    """

    id: str
    protocol: ProtocolName
    passed: bool
    detail: str = ""
    shown: bool = True
