"""The folder for files that outlive the process: where plugins keep them, and what is said where none can be kept.

A container may have no home, or one that is read-only. Nothing needs these files, so that is one warning and no more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.errors import SettingsError
from localagent.settings.folders import state_folder

if TYPE_CHECKING:
    from localagent.settings.model import Settings

log = logging.getLogger("localagent")

_told: set[str] = set()  # the state folders of which this process has said that they cannot be used


class StateFolder:
    """The state folder of one client.

    Args:
        settings: The settings, which may name it.
        environment: The environment variables, which decide where it is otherwise.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment

    def of(self, plugin: str) -> Path:
        """Return a plugin's own folder in it, made if need be.

        Raises:
            SettingsError: It cannot be made, or nothing can be written there.
        """
        folder = self._root() / plugin
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            writable = os.access(folder, os.W_OK | os.X_OK)  # asked of the system: root may write what nobody else may
        except OSError as error:
            raise _unusable(f"{folder} cannot be made: {error.strerror or type(error).__name__}") from None
        if not writable:
            raise _unusable(f"{folder} cannot be written")
        return folder

    def not_kept(self, plugin: str, what: str, error: Exception) -> None:
        """Say that something is not kept: a warning the first time in a process, a detail of the log afterwards."""
        try:
            place = str(self._root())
        except SettingsError:
            place = ""
        level = logging.INFO if place in _told else logging.WARNING
        _told.add(place)
        log.log(level, "What should outlive this process cannot be kept (%s: %s): %s", plugin, what, error)

    def _root(self) -> Path:
        return self._settings.state_folder or state_folder(self._environment)


def _unusable(why: str) -> SettingsError:
    mend = "Free some space, or set state_folder in the settings."
    return SettingsError(f"The state folder {why}.", mend=mend)
