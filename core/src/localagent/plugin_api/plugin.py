"""The base class of plugins, and the forms in which a plugin can be given: a class, a factory or an object.

The plugin's class must be known before the plugin is created, because it defines the name, the settings class and
whether the plugin is on by default. A factory declares the class as its return annotation.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import PurePath
from types import ModuleType, SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, get_type_hints

import attrs

from localagent.errors import PluginError

if TYPE_CHECKING:
    from localagent.plugin_api.core import Core
    from localagent.records.stats import Instrument
    from localagent.settings.model import Settings


@attrs.frozen
class NoSettings:
    """The settings class of a plugin without settings.

    Since: 0.1.
    """


class Plugin:
    """The base class of plugins.

    The core creates the plugin with its settings, sets ``core``, and enters it with ``__aenter__``. It calls
    ``__aexit__`` when the client closes. Hooks are methods with ``@hookimpl``.

    An entry point or ``Client(plugins=[...])`` gives a plugin in one of three forms:

    - A class. It is called with its filled settings.
    - A factory: a function, a ``functools.partial`` or another callable. It is also called with the filled settings.
      Its return annotation must be the plugin's class, which defines the settings class, the default and, in a program,
      the name. A factory can close over objects of the program.
    - An object. It has its own settings: a table ``[plugins.NAME]`` with other values is an error. Only one client at a
      time may have it open, except that a client may share it with the client that it replaces if ``survives_reload``
      is True.

    In a program, ``name`` is the plugin's name; an object may override it. An installed plugin has the name of its
    entry point.

    A server that reloads its settings builds a new pipeline with new plugins next to the current one. A plugin with
    state worth keeping (cache entries, counts, open breakers) sets ``survives_reload = True``. The same object then
    moves to the new pipeline if its class, factory or object and its settings are unchanged. It serves both pipelines
    until the calls of the old one have ended; ``__aexit__`` is called when it leaves the last one. Such a plugin stores
    data about instances by their ``id``, because the new pipeline has other ``Instance`` objects. It reads
    ``core.instances``, ``core.models``, ``core.random`` and ``core.hook`` each time that it needs them, and does not
    watch instances, because these objects belong to one pipeline.

    Attributes:
        settings_class: attrs class of the table ``[plugins.NAME]``.
        default: False for a plugin that is active only if the settings name it.
        survives_reload: True for a plugin that stays open when settings are reloaded and its own are unchanged.
        needs_usage: True if its hooks need token counts, so that streams request them from the server.
        hookspecs: A module or object with the hook specifications that this plugin defines.
        instruments: The instruments whose samples ``collect_stats`` returns, for the documentation.
        name: The plugin's name; for an installed plugin, that of its entry point.
        settings: The filled ``settings_class``.
        core: The services of the core; available from ``__aenter__`` on.

    Example:
        ::

            class CountCalls(localagent.Plugin):
                name = "metrics-count"
                calls = 0

                @localagent.hookimpl
                def record_metric(self, metric):
                    self.calls += 1

    Since: 0.1.
    """

    settings_class: ClassVar[type] = NoSettings
    default: ClassVar[bool] = True
    survives_reload: ClassVar[bool] = False
    needs_usage: ClassVar[bool] = False
    hookspecs: ClassVar[Any] = None
    instruments: ClassVar[tuple[Instrument, ...]] = ()

    name: str = ""
    core: Core

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.settings_class() if settings is None else settings

    def remarks(self, settings: Settings) -> Iterable[str]:
        """Return remarks that ``localagent explain`` shows below the steps, such as what it does not do and why.

        Args:
            settings: The complete settings; the plugin has not been entered yet.
        """
        return ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


PluginSource: TypeAlias = type[Plugin] | Callable[[Any], Plugin] | Plugin
"""A class or factory that is called with the filled settings, or an existing plugin object."""

_EXPECTED = "expected a subclass of localagent.Plugin, a function that returns one, or an object of one"


def plugin_class(source: object, subject: str, hint: str | None = None) -> type[Plugin]:
    """Return the class of the plugin that a source gives.

    Args:
        source: A class, a factory or an object.
        subject: The subject of an error message, such as ``plugins[2] of the client``.
        hint: The hint of an error.

    Raises:
        PluginError: It is not a plugin source, or a factory without a usable return annotation.
    """
    if isinstance(source, Plugin):
        return type(source)
    if not callable(source):
        in_settings = 'Name installed plugins in the settings: {"use": ["NAME"]}' if isinstance(source, str) else None
        raise PluginError(f"{subject} is {described(source)}; {_EXPECTED}.", hint=hint or in_settings)
    made = source if isinstance(source, type) else _returned(source)
    if isinstance(made, type) and issubclass(made, Plugin):
        return made
    if isinstance(source, type):
        raise PluginError(f"{subject} is {described(source)}, which is not a subclass of localagent.Plugin.", hint=hint)
    example = "def make(settings: MySettings) -> MyPlugin"
    raise PluginError(
        f"{subject} is {described(source)}, which does not say which plugin it returns; write: {example}.", hint=hint
    )


def used_twice(name: str) -> PluginError:
    """Return the error for a plugin object that two clients would have open at the same time."""
    return PluginError(
        f"Plugin {name} was given as an object, and another client has it open.",
        hint="Pass its class, or a function that returns a new object, so that each client has its own plugin.",
    )


def _returned(factory: Callable[..., Any]) -> object:
    """Return the type in the return annotation of a factory; None if there is no readable one."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        return factory
    function = inspect.unwrap(factory if inspect.isroutine(factory) else type(factory).__call__)
    if not hasattr(function, "__globals__") or inspect.iscoroutinefunction(function):
        return None
    try:
        # Only this annotation is evaluated: the others may use names that exist only for type checkers.
        hint = SimpleNamespace(__annotations__={"return": function.__annotations__.get("return")})
        names = inspect.getclosurevars(function).nonlocals
        returned: object = get_type_hints(hint, function.__globals__, dict(names)).get("return")
    except (NameError, AttributeError, TypeError, SyntaxError):
        return None
    return getattr(factory, "__self__", None) if returned is Self else returned


def described(source: object) -> str:
    """Describe a plugin source for an error: its name, and for a function its file and line."""
    if isinstance(source, ModuleType):
        return f"the module {source.__name__}"
    if isinstance(source, type):
        return f"the class {source.__qualname__}"
    if (code := getattr(source, "__code__", None)) is not None:
        return f"the function {code.co_qualname} ({PurePath(code.co_filename).name}:{code.co_firstlineno})"
    return f"an object of the type {type(source).__name__}"
