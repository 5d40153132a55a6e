"""Where the keys are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.settings.folders import state_folder

if TYPE_CHECKING:
    from localagent import Settings


def keys_folder(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Return the gateway's folder in the state folder; it is not made, since most gateways have no keys.

    Args:
        settings: The settings of the core.
        environment: The environment variables.

    Raises:
        SettingsError: Nobody can say where the user's home is.
    """
    return (settings.state_folder or state_folder(environment)) / "gateway"


def left_behind(folder: Path) -> Path | None:
    """Return a file that tells that there were keys; None where there never were any.

    Args:
        folder: The gateway's folder.

    Raises:
        OSError: Nobody can say: the folder cannot be looked into.
    """
    return next(
        (folder / name for name in ("keys.db", "pepper", "revocations", "keys.db-wal") if _is_there(folder / name)),
        None,
    )


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
