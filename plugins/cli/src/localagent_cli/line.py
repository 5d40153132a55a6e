"""The command line at work: what every command, also one of a plugin, has at hand."""

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
    """The options that every command takes, the terminal, and how a coroutine is run.

    Args:
        terminal: Where commands write.
        log: The log on standard error.

    Attributes:
        config: The settings file that ``--config`` names; None for the usual one.
        verbose: Whether to say more than is asked for.
        debug: Whether to show tracebacks and the whole log.
    """

    def __init__(self, terminal: Terminal, log: Log) -> None:
        self.terminal = terminal
        self.config: Path | None = None
        self.verbose = False
        self.debug = False
        self._log = log

    def choose(self, name: str, value: Any) -> None:
        """Take note of one of the options that every command takes."""
        if name == "no_color":
            self.terminal.colored = False
        else:
            setattr(self, name, value)
        self._log.choose(verbose=self.verbose, debug=self.debug)

    def settings(self) -> Settings:
        """Return the settings that are in force.

        Raises:
            SettingsError: They are wrong.
        """
        from localagent.pipeline import read_settings

        return read_settings(self.config, os.environ)

    def assembled(self, settings: Settings | None = None) -> Assembled:
        """Return the settings, the compiled pipeline, and what is said of each plugin; nothing is started.

        Args:
            settings: Settings that were read before; None reads them now.

        Raises:
            SettingsError: The settings are wrong.
            PluginError: A plugin is missing, broken, or ordered in a contradiction.
        """
        from localagent.pipeline import assemble

        return assemble(self.config if settings is None else settings, None, os.environ)

    def without_warnings(self) -> None:
        """Write no warnings from now on: the command shows what they say."""
        self._log.silent = True

    def client(self) -> Client:
        """Return a client with these settings, for ``async with``."""
        from localagent import Client

        return Client(self.config)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in an event loop of its own and return its result. Ctrl-C cancels it.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and the coroutine has ended.
        """
        with asyncio.Runner() as runner:
            return run_until_interrupted(runner, work)
