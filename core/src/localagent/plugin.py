"""The base of every plugin."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

if TYPE_CHECKING:
    from localagent.core import Core
    from localagent.settings.model import Settings


@attrs.frozen
class NoSettings:
    """The settings class of a plugin that has none."""


class Plugin:
    """The base of every plugin.

    The core makes it with its own settings, sets ``core``, and enters it: what is opened in ``__aenter__`` is closed
    in ``__aexit__``. Hooks are methods with ``@hookimpl``.

    An entry point, or ``Client(plugins=[...])``, gives a plugin in one of three forms:

    - A class. It is called with its filled settings.
    - A factory: a function, a ``functools.partial`` or another callable. It is called with the filled settings, too.
      Its return annotation names the class that it makes, from which everything is read that must be known before: the
      settings class, the default, and, in a program, the name. So a factory may close over objects of the program.
    - An object. It has settings of its own: a table ``[plugins.NAME]`` that says something else is an error. One client
      at a time may have it open; only with ``moves`` may a client that replaces another one share it.

    In a program, ``name`` names the plugin; an object may have a name of its own. An entry point has the name already.

    A server that reads its settings again builds a new pipeline beside the one that is in use, and new plugins with it.
    A plugin that keeps something worth keeping (entries, counts, open breakers) says ``moves = True``: it is then moved
    as it is to the new pipeline, as long as it is given by the same class, factory or object and its settings are the
    same. It serves both until the calls of the old one
    have ended; ``__aexit__`` comes when the last of them leaves. What it keeps of an instance it keeps by its ``id``,
    because the new pipeline has objects of its own; and it asks ``core`` each time for ``instances``, ``models``,
    ``random`` and ``hook``, and watches no instances, because what it got before belongs to the old one.

    Attributes:
        settings_class: attrs class of ``[plugins.NAME]``.
        default: False for a plugin that is active only when it is named.
        moves: True for a plugin that lives on when settings are read again and its own have not changed.
        needs_usage: True when its hooks need token counts, so that streams ask the server for them.
        hookspecs: A module (or object) with hook specifications that this plugin brings.
        name: The plugin's name: that of its entry point.
        settings: The filled ``settings_class``.
        core: The core's handle; there from ``__aenter__`` on.
    """

    settings_class: ClassVar[type] = NoSettings
    default: ClassVar[bool] = True
    moves: ClassVar[bool] = False
    needs_usage: ClassVar[bool] = False
    hookspecs: ClassVar[Any] = None

    name: str = ""
    core: Core

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.settings_class() if settings is None else settings

    def remarks(self, settings: Settings) -> Iterable[str]:
        """Return sentences that ``explain`` shows beneath the steps: what the plugin leaves out, and why.

        Args:
            settings: The settings of everything; the plugin has not been entered yet.
        """
        return ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
