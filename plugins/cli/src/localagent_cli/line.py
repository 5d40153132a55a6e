"""The running command line, which is passed to every command, also to those of plugins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from localagent_cli.interrupts import run_until_interrupted
from localagent_cli.terminal import Terminal

if TYPE_CHECKING:
    from localagent import Client, Settings
    from localagent.pipeline import Assembled
    from localagent_cli.log import Log

T = TypeVar("T")


class CommandLine:
    """The common options, the terminal, and the event loop of a command.

    Args:
        terminal: The terminal that commands write to.
        log: The log on standard error.

    Attributes:
        config: The settings file that ``--config`` names; None for the default one.
        verbose: Whether to show progress messages.
        debug: Whether to show tracebacks and the whole log.
    """

    def __init__(self, terminal: Terminal, log: Log) -> None:
        self.terminal = terminal
        self.config: Path | None = None
        self.verbose = False
        self.debug = False
        self._log = log

    def choose(self, name: str, value: Any) -> None:
        """Set one of the common options."""
        if name == "no_color":
            self.terminal.colored = False
        else:
            setattr(self, name, value)
        self._log.choose(verbose=self.verbose, debug=self.debug)

    def settings(self) -> Settings:
        """Return the settings in effect.

        Raises:
            SettingsError: The settings are invalid.
        """
        from localagent.pipeline import read_settings

        return read_settings(self.config, os.environ)

    def assembled(self, settings: Settings | None = None) -> Assembled:
        """Return the settings, the compiled pipeline, and a report on each plugin; nothing is started.

        Args:
            settings: Settings that were read before; None reads them now.

        Raises:
            SettingsError: The settings are invalid.
            PluginError: A plugin is missing or broken, or its ordering constraints contradict each other.
        """
        from localagent.pipeline import assemble

        return assemble(self.config if settings is None else settings, None, os.environ)

    def without_warnings(self) -> None:
        """Stop logging warnings: the command itself shows what they report."""
        self._log.silent = True

    def client(self) -> Client:
        """Return a client with these settings, for ``async with``."""
        from localagent import Client

        return Client(self.config)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a new event loop and return its result. Ctrl-C cancels it.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and the coroutine has ended.
        """
        with asyncio.Runner() as runner:
            return run_until_interrupted(runner, work)
