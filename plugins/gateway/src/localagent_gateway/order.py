"""What a supervisor tells a worker process at its start; one line of JSON on its standard input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from localagent.command.line import CommandLine
from localagent_gateway.serving import Serving


class Order(msgspec.Struct, frozen=True):
    """The first line.

    Attributes:
        number: The worker's number, from 1.
        sockets: File descriptors of the listening sockets.
        config: The settings file that the command line names; None for the usual one.
        options: The options of the command line that stand above the file.
        verbose: Whether to say more than is asked for.
        debug: Whether to show tracebacks and the whole log.
        shared: Where providers reach what runs once for all workers, by the provider's name.
        workers: How many workers there are.
    """

    number: int
    sockets: list[int]
    config: str | None
    options: dict[str, Any]
    verbose: bool
    debug: bool
    shared: dict[str, str]
    workers: int

    def serving(self, line: CommandLine) -> Serving:
        """Return what the worker serves."""
        line.config = None if self.config is None else Path(self.config)
        line.choose("verbose", self.verbose)
        line.choose("debug", self.debug)
        return Serving(line, self.options, self.shared, self.workers)


def order(serving: Serving, number: int, sockets: list[int]) -> Order:
    """Return the order for one more worker of the same kind."""
    line = serving.line
    config = None if line.config is None else str(line.config)
    return Order(
        number, sockets, config, dict(serving.options), line.verbose, line.debug, dict(serving.shared), serving.workers
    )


class Command(msgspec.Struct, frozen=True):
    """Each further line.

    Attributes:
        do: ``drain``; ``figures``: report how things stand; ``reload``: read the settings again.
        linger: For ``drain``: as in ``Worker.drain``.
        id: For ``figures`` and ``reload``: comes back with the answer.
        then: For ``reload``: comes back when the requests of the settings before have ended.
        shared: For ``reload``: as in ``Order``.
    """

    do: str
    linger: bool = False
    id: int = 0
    then: int = 0
    shared: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True):
    """What a worker answers, one line of JSON each on its standard output.

    Attributes:
        ready: It serves.
        error: Why it does not, or why it did not do what it was told, in one sentence.
        id: What is answered; 0 for the start.
        figures: How things stand.
    """

    ready: bool = False
    error: str = ""
    id: int = 0
    figures: dict[str, Any] | None = None
