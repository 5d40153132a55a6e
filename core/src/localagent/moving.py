"""Which plugins of a running core live on in the one that takes its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localagent.plugins import Loaded, Plugin
    from localagent.runtime import Runtime
    from localagent.settings.model import Settings


def moved_plugins(
    former: Runtime, settings: Settings, loaded: Iterable[Loaded], filled: Mapping[str, Any]
) -> dict[str, Plugin]:
    """Return the plugins that are moved, by name: those that offer it, of the same class and with equal settings.

    A class is imported once a process, so the same class is the same version. None is moved when the state folder is
    another one: their files would stay in the old.

    Args:
        former: The running core.
        settings: The settings of the new one.
        loaded: The classes that the new one was told to load.
        filled: Their filled settings, by name.
    """
    if former.settings.state_folder != settings.state_folder:
        return {}
    known = former.pipeline.plugins
    return {
        item.name: known[item.name]
        for item in loaded
        if item.name in known
        and item.kind.moves
        and type(known[item.name]) is item.kind
        and known[item.name].settings == filled[item.name]
    }
