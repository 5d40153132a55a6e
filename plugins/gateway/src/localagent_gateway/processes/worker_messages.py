"""Messages between a supervisor and a worker process: lines of JSON on the worker's standard input and output."""

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
        path: The settings file in force; None if there is no file.
        text: Its contents when it was read; a worker does not read the file, which may have changed since.
        options: The options of the command line that override the file.
        verbose: Whether to show more messages.
        debug: Whether to show tracebacks and the whole log.
        shared: The addresses of the resources that run once for all workers, by the provider's name.
        workers: The number of workers.
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
        """Return the worker's configuration.

        Raises:
            LocalAgentError: The settings are wrong in this process, for example because a plugin has changed meanwhile.
        """
        line.config = None if self.path is None else Path(self.path)
        line.choose("verbose", self.verbose)
        line.choose("debug", self.debug)
        return Configuration.of(line, self.options, settings_file(self.path, self.text), self.shared, self.workers)


def start_command(configuration: Configuration, number: int, sockets: list[int]) -> StartCommand:
    """Return the start command for one more worker with this configuration."""
    line = configuration.line
    return StartCommand(
        number, sockets, path_of(configuration), configuration.file.text, dict(configuration.options),
        line.verbose, line.debug, dict(configuration.shared), configuration.workers,
    )  # fmt: skip


def settings_file(path: str | None, text: str) -> SettingsFile:
    """Return the settings file that a supervisor sent."""
    return SettingsFile(None if path is None else Path(path), text)


def path_of(configuration: Configuration) -> str | None:
    """Return the path of the settings file as it is sent; None if there is no file."""
    return None if configuration.file.path is None else str(configuration.file.path)


class Command(msgspec.Struct, frozen=True):
    """Each further line.

    Attributes:
        do: ``drain``; ``stats``: report statistics; ``ping``: answer; ``reload``: switch to these settings;
            ``gathered``: the statistics of all workers, which this worker asked for.
        linger: For ``drain``: as in ``Worker.drain``.
        id: For all except ``drain``: the ``id`` of the answer.
        then: For ``reload``: the ``id`` of a second answer, sent when the requests of the old settings have ended.
        path: For ``reload``: as in ``StartCommand``.
        text: For ``reload``: as in ``StartCommand``.
        shared: For ``reload``: as in ``StartCommand``.
        samples: For ``gathered``: as in ``Report``.
    """

    do: str
    linger: bool = False
    id: int = 0
    then: int = 0
    path: str | None = None
    text: str = ""
    shared: dict[str, str] = {}
    samples: list[Any] = []


class Report(msgspec.Struct, frozen=True):
    """An answer of a worker: one line of JSON on its standard output.

    Attributes:
        ready: Whether the worker serves.
        leaving: Whether a signal has ended it.
        error: Why it does not serve or did not carry out a command, in one sentence.
        id: The ``id`` of the command; 0 for the start.
        stats: The statistics; see ``worker_stats``.
        samples: What the cores and the plugins report, as from ``Stats.to_builtins``; without an ``id``, the last
            report of a worker that ends.
        gather: A number: the worker asks for the statistics of all workers, and gets them with this ``id``.
    """

    ready: bool = False
    leaving: bool = False
    error: str = ""
    id: int = 0
    stats: dict[str, Any] | None = None
    samples: list[Any] | None = None
    gather: int = 0
