"""What a supervisor and a worker process say to each other: lines of JSON on the worker's standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from localagent.settings import SettingsFile
from localagent_cli import CommandLine
from localagent_gateway.processes.configuration import Configuration


class StartCommand(msgspec.Struct, frozen=True):
    """The first line.

    Attributes:
        number: The worker's number, from 1.
        sockets: File descriptors of the listening sockets.
        path: The settings file that is in force; None where there is none.
        text: What it held when it was read: a worker reads no file, because that may be another one by now.
        options: The options of the command line that stand above the file.
        verbose: Whether to say more than is asked for.
        debug: Whether to show tracebacks and the whole log.
        shared: Where providers reach what runs once for all workers, by the provider's name.
        workers: How many workers there are.
    """

    number: int
    sockets: list[int]
    path: str | None
    text: str
    options: dict[str, Any]
    verbose: bool
    debug: bool
    shared: dict[str, str]
    workers: int

    def configuration(self, line: CommandLine) -> Configuration:
        """Return what the worker serves.

        Raises:
            LocalAgentError: The settings are wrong here: a plugin was changed meanwhile, say.
        """
        line.config = None if self.path is None else Path(self.path)
        line.choose("verbose", self.verbose)
        line.choose("debug", self.debug)
        return Configuration.of(line, self.options, settings_file(self.path, self.text), self.shared, self.workers)


def start_command(configuration: Configuration, number: int, sockets: list[int]) -> StartCommand:
    """Return the start command for one more worker of the same kind."""
    line = configuration.line
    return StartCommand(
        number, sockets, path_of(configuration), configuration.file.text, dict(configuration.options),
        line.verbose, line.debug, dict(configuration.shared), configuration.workers,
    )  # fmt: skip


def settings_file(path: str | None, text: str) -> SettingsFile:
    """Return the settings file that a supervisor sent."""
    return SettingsFile(None if path is None else Path(path), text)


def path_of(configuration: Configuration) -> str | None:
    """Return the path of the settings file as it is sent."""
    return None if configuration.file.path is None else str(configuration.file.path)


class Command(msgspec.Struct, frozen=True):
    """Each further line.

    Attributes:
        do: ``drain``; ``stats``: report how things stand; ``ping``: answer; ``reload``: answer by these settings.
        linger: For ``drain``: as in ``Worker.drain``.
        id: For all but ``drain``: comes back with the answer.
        then: For ``reload``: comes back when the requests of the settings before have ended.
        path: For ``reload``: as in ``StartCommand``.
        text: For ``reload``: as in ``StartCommand``.
        shared: For ``reload``: as in ``StartCommand``.
    """

    do: str
    linger: bool = False
    id: int = 0
    then: int = 0
    path: str | None = None
    text: str = ""
    shared: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True):
    """What a worker answers, one line of JSON each on its standard output.

    Attributes:
        ready: It serves.
        leaving: It was told to end by a signal.
        error: Why it does not, or why it did not do its command, in one sentence.
        id: What is answered; 0 for the start.
        stats: How things stand.
    """

    ready: bool = False
    leaving: bool = False
    error: str = ""
    id: int = 0
    stats: dict[str, Any] | None = None
