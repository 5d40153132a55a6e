"""The base of every plugin, and what may be given as one: a class, a factory or an object.

Before a plugin is made, its class says what it is called, which settings it takes and whether it is on by default. So
the class must be known of each: a factory names it as the type that it returns.
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
    from localagent.settings.model import Settings


@attrs.frozen
class NoSettings:
    """The settings class of a plugin that has none."""


class Plugin:
    """The base class of every plugin.

    The core makes the plugin with its settings, sets ``core``, and enters it. Open things in ``__aenter__`` and close
    them in ``__aexit__``. Hooks are methods with ``@hookimpl``.

    Example:
        import asyncio

        from localagent import ChatRequest, Client, Plugin, hookimpl

        class ShortAnswers(Plugin):
            name = "request-short-answers"

            @hookimpl
            def pre_request(self, request: ChatRequest) -> ChatRequest:
                return request.replace(max_tokens=20)

        async def main() -> None:
            from localagent_testing import fake_provider_plugin

            async with Client({}, plugins=[fake_provider_plugin(), ShortAnswers]) as client:
                print((await client.chat("Hello.")).text)

        asyncio.run(main())

    An entry point, or ``Client(plugins=[...])``, gives a plugin in one of three forms:

    - A class. It is called with its filled settings.
    - A factory: a function, a ``functools.partial`` or another callable. It is called with the filled settings, too.
      Its return annotation names the class that it makes, from which everything is read that must be known before: the
      settings class, the default, and, in a program, the name. So a factory may close over objects of the program.
    - An object. It already has its settings: a table ``[plugins.NAME]`` with other values is an error. Only one client
      at a time may have it open, except for a client that replaces another one (``survives_reload``).

    In a program, ``name`` names the plugin; an object may have its own name. An entry point already has a name.

    A server that reads its settings again builds a new pipeline with new plugins. A plugin with state (entries, counts,
    open breakers) sets ``survives_reload = True`` to stay as it is, if the same class, factory or object gives it and
    its settings have not changed. It then serves both pipelines until the calls of the old one have ended, and
    ``__aexit__`` follows the last of them. Such a plugin keeps what it knows about an instance by its ``id``, because
    the new pipeline has new objects. It asks ``core`` each time for ``instances``, ``models``, ``random`` and ``hook``,
    and does not watch instances, because earlier objects belong to the old pipeline.

    Attributes:
        settings_class: attrs class of ``[plugins.NAME]``.
        default: False for a plugin that is active only when it is named.
        survives_reload: True for a plugin that lives on when settings are read again and its own have not changed.
        needs_usage: True when its hooks need token counts, so that streams ask the server for them.
        hookspecs: A module (or object) with hook specifications that this plugin brings.
        name: The plugin's name: that of its entry point.
        settings: The filled ``settings_class``.
        core: The core's handle; available from ``__aenter__`` on.

    Since: 0.1
    """

    settings_class: ClassVar[type] = NoSettings
    default: ClassVar[bool] = True
    survives_reload: ClassVar[bool] = False
    needs_usage: ClassVar[bool] = False
    hookspecs: ClassVar[Any] = None

    name: str = ""
    core: Core

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.settings_class() if settings is None else settings

    def remarks(self, settings: Settings) -> Iterable[str]:
        """Return sentences that ``explain`` shows below the steps, such as what the plugin does not do, and why.

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


PluginSource: TypeAlias = type[Plugin] | Callable[[Any], Plugin] | Plugin
"""A class or a factory, which is called with the filled settings; or a plugin that was made already."""

_EXPECTED = "expected a subclass of localagent.Plugin, a function that returns one, or an object of one"


def plugin_class(source: object, subject: str, hint: str | None = None) -> type[Plugin]:
    """Return the class of the plugin that a source gives.

    Args:
        source: A class, a factory or an object.
        subject: How an error begins, such as ``plugins[2] of the client``.
        hint: What an error says to do about it.

    Raises:
        PluginError: It is none of them, or a factory that does not say what it returns.
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
        raise PluginError(f"{subject} is {described(source)}, no subclass of localagent.Plugin.", hint=hint)
    example = "def make(settings: MySettings) -> MyPlugin"
    raise PluginError(
        f"{subject} is {described(source)}, which does not say which plugin it returns; write: {example}.", hint=hint
    )


def used_twice(name: str) -> PluginError:
    """Return the error for a plugin object that two clients would have open at a time."""
    return PluginError(
        f"Plugin {name} was given as an object, and another client has it open.",
        hint="Give its class, or a function that returns a new one, so that each client has its own.",
    )


def _returned(factory: Callable[..., Any]) -> object:
    """Return the type that a factory says it returns; None where it says none that can be read."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        return factory
    function = inspect.unwrap(factory if inspect.isroutine(factory) else type(factory).__call__)
    if not hasattr(function, "__globals__") or inspect.iscoroutinefunction(function):
        return None
    try:
        # Only this annotation is read: the others may be of names that there are for type checkers only.
        hint = SimpleNamespace(__annotations__={"return": function.__annotations__.get("return")})
        names = inspect.getclosurevars(function).nonlocals
        returned: object = get_type_hints(hint, function.__globals__, dict(names)).get("return")
    except (NameError, AttributeError, TypeError, SyntaxError):
        return None
    return getattr(factory, "__self__", None) if returned is Self else returned


def described(source: object) -> str:
    """Say what was given as a plugin: its name, and where it is written if it is a function."""
    if isinstance(source, ModuleType):
        return f"the module {source.__name__}"
    if isinstance(source, type):
        return f"the class {source.__qualname__}"
    if (code := getattr(source, "__code__", None)) is not None:
        return f"the function {code.co_qualname} ({PurePath(code.co_filename).name}:{code.co_firstlineno})"
    return f"an object of the type {type(source).__name__}"
