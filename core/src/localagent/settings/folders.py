"""Where this platform keeps settings, and files that outlive a process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from localagent.errors import SettingsError

NAME = "localagent"


def config_folder(environment: Mapping[str, str], platform: str = "") -> Path:
    """Return the folder of the user's settings.

    ``%APPDATA%`` on Windows, ``~/Library/Application Support`` on macOS, ``~/.config`` elsewhere (XDG Base Directory
    Specification 0.8); ``XDG_CONFIG_HOME`` decides wherever it holds an absolute path.

    Args:
        environment: The environment variables.
        platform: As in ``sys.platform``; empty means this one.

    Raises:
        SettingsError: Nobody can say where the user's home is.
    """
    return _folder(environment, platform or sys.platform, "XDG_CONFIG_HOME", "APPDATA", ".config")


def state_folder(environment: Mapping[str, str], platform: str = "") -> Path:
    """Return the folder for files that outlive a process and are of no use on another machine.

    ``%LOCALAPPDATA%`` on Windows, ``~/Library/Application Support`` on macOS, ``~/.local/state`` elsewhere;
    ``XDG_STATE_HOME`` decides wherever it holds an absolute path. For arguments and errors see ``config_folder``.
    """
    return _folder(environment, platform or sys.platform, "XDG_STATE_HOME", "LOCALAPPDATA", ".local/state")


def _folder(environment: Mapping[str, str], platform: str, xdg: str, windows: str, elsewhere: str) -> Path:
    for name in (xdg, windows) if platform == "win32" else (xdg,):
        # The specification says that a relative path is to be ignored.
        if Path(environment.get(name, "")).is_absolute():
            return Path(environment[name]) / NAME
    return _home(environment) / ("Library/Application Support" if platform == "darwin" else elsewhere) / NAME


def _home(environment: Mapping[str, str]) -> Path:
    try:
        return Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    except RuntimeError:
        mend = "Set HOME, or state_folder in the settings."
        raise SettingsError("The home folder is not known.", mend=mend) from None
