"""Where the keys are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.settings.folders import state_folder

if TYPE_CHECKING:
    from localagent.settings.model import Settings


def keys_folder(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Return the gateway's folder in the state folder; it is not made, since most gateways have no keys.

    Args:
        settings: The settings of the core.
        environment: The environment variables.

    Raises:
        SettingsError: Nobody can say where the user's home is.
    """
    return (settings.state_folder or state_folder(environment)) / "gateway"
