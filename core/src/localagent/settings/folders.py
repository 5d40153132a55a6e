"""Where this platform keeps settings and files that outlive a process, and how plugins store files there.

A container may have no home folder, or a read-only one. Nothing depends on these files, so this is only one warning.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.errors import SettingsError

if TYPE_CHECKING:
    from localagent.settings.model import Settings

log = logging.getLogger("localagent")

NAME = "localagent"

_reported: set[str] = set()  # the state folders that this process has reported as unusable


def config_folder(environment: Mapping[str, str], platform: str = "") -> Path:
    """Return the folder of the user's settings.

    ``%APPDATA%`` on Windows, ``~/Library/Application Support`` on macOS, ``~/.config`` elsewhere (XDG Base Directory
    Specification 0.8); ``XDG_CONFIG_HOME`` overrides this if it contains an absolute path.

    Args:
        environment: The environment variables.
        platform: As in ``sys.platform``; empty means this one.

    Raises:
        SettingsError: The user's home folder is not known.
    """
    return _folder(environment, platform or sys.platform, "XDG_CONFIG_HOME", "APPDATA", ".config")


def state_folder(environment: Mapping[str, str], platform: str = "") -> Path:
    """Return the folder for files that outlive a process and are useless on another machine.

    ``%LOCALAPPDATA%`` on Windows, ``~/Library/Application Support`` on macOS, ``~/.local/state`` elsewhere;
    ``XDG_STATE_HOME`` overrides this if it contains an absolute path. For arguments and errors see ``config_folder``.
    """
    return _folder(environment, platform or sys.platform, "XDG_STATE_HOME", "LOCALAPPDATA", ".local/state")


def _folder(environment: Mapping[str, str], platform: str, xdg: str, windows: str, elsewhere: str) -> Path:
    for name in (xdg, windows) if platform == "win32" else (xdg,):
        # The specification requires that a relative path is ignored.
        if Path(environment.get(name, "")).is_absolute():
            return Path(environment[name]) / NAME
    return _home(environment) / ("Library/Application Support" if platform == "darwin" else elsewhere) / NAME


def _home(environment: Mapping[str, str]) -> Path:
    try:
        return Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    except RuntimeError:
        hint = "Set HOME, or state_folder in the settings."
        raise SettingsError("The home folder is not known.", hint=hint) from None


class StateFolder:
    """The state folder of one client.

    Args:
        settings: The settings, which may name it.
        environment: The environment variables, which otherwise decide where it is.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment

    def of(self, plugin: str) -> Path:
        """Return a plugin's own folder in it, and create it if necessary.

        Raises:
            SettingsError: The folder cannot be created or written.
        """
        folder = self._root() / plugin
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            writable = os.access(
                folder, os.W_OK | os.X_OK
            )  # asks the system, because root may write where others may not
        except OSError as error:
            raise _unusable(f"{folder} cannot be created: {error.strerror or type(error).__name__}") from None
        if not writable:
            raise _unusable(f"{folder} cannot be written")
        return folder

    def not_kept(self, plugin: str, what: str, error: Exception) -> None:
        """Log that something is not kept: as a warning the first time in a process, at a lower level afterwards."""
        try:
            place = str(self._root())
        except SettingsError:
            place = ""
        level = logging.INFO if place in _reported else logging.WARNING
        _reported.add(place)
        log.log(level, "Data that should outlive this process cannot be saved (%s: %s): %s", plugin, what, error)

    def _root(self) -> Path:
        return self._settings.state_folder or state_folder(self._environment)


def _unusable(why: str) -> SettingsError:
    hint = "Free some space, or set state_folder in the settings."
    return SettingsError(f"The state folder {why}.", hint=hint)


def create_private_file(path: Path) -> None:
    """Create an empty file that only this user may read, unless the file exists.

    Use it before ``sqlite3.connect``, so that SQLite does not create the file with the mode of the umask. The files
    that SQLite puts next to it get its mode.

    An existing file is never opened, because closing it would drop every lock that this process has on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2). For the same reason a new file is closed before it gets its
    name.

    Args:
        path: The file; a symbolic link is followed. Its folder must exist.

    Raises:
        OSError: It cannot be created.
    """
    import tempfile

    if path.exists():
        return
    target = Path(os.path.realpath(path))
    try:
        number, unnamed = tempfile.mkstemp(prefix=".new-", dir=target.parent)  # guaranteed to have mode 0600
    except OSError as error:  # names the temporary file, which is a different one each time
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(number)
    try:
        os.link(unnamed, target)
    except FileExistsError:
        pass  # another thread or process has created it first
    except OSError:  # the file system has no hard links
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        Path(unnamed).unlink()
