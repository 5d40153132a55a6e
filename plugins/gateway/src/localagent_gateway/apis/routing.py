"""From method and path to the route that answers; the gateway's own routes, and those that other plugins add."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localagent.errors import PluginError
from localagent.plugin_api import Route

if TYPE_CHECKING:
    from localagent.pipeline import Pipeline, Step

HOOK = "gateway_add_routes"
NO_PARAMS: Mapping[str, str] = {}


class Routes:
    """All that is served.

    Args:
        routes: The routes.

    Raises:
        PluginError: Two routes answer the same.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._open_ended: list[tuple[str, str, dict[str, Route]]] = []
        for route in self.all:
            methods = self._methods(route.path)
            if route.method in methods:
                raise PluginError(f"Two plugins answer {route.method} {route.path}.",
                                  mend="Choose one with: use = [...]")  # fmt: skip
            methods[route.method] = route

    def _methods(self, path: str) -> dict[str, Route]:
        if not path.endswith("}"):
            return self._exact.setdefault(path, {})
        prefix, _, name = path[:-1].rpartition("{")
        for known, _, methods in self._open_ended:
            if known == prefix:
                return methods
        self._open_ended.append((prefix, name, {}))
        return self._open_ended[-1][2]

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """Return the routes of a path by method, and what its ``{name}`` stands for; no routes for a strange path."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, NO_PARAMS
        for prefix, name, methods in self._open_ended:
            if path.startswith(prefix) and len(path) > len(prefix):
                return methods, {name: path[len(prefix) :]}
        return {}, NO_PARAMS


def route_of(methods: Mapping[str, Route], method: str) -> Route | None:
    """Return the route of a path that answers a method: HEAD is answered by the route of GET (RFC 9110, 9.3.2)."""
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def allowed(methods: Mapping[str, Route]) -> str:
    """Return all methods that a path answers, as the header ``Allow`` tells them."""
    return ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))


def with_added(own: Iterable[Route], pipeline: Pipeline) -> Routes:
    """Return the gateway's own routes with those that plugins add.

    Args:
        own: The gateway's own.
        pipeline: The plugins.

    Raises:
        PluginError: A plugin failed, or wants a path that is taken; it is named.
    """
    routes = Routes(own)
    for step in pipeline.steps[HOOK]:
        for route in _added(step):
            _check(route, step.plugin, routes)
            routes = Routes((*routes.all, route))
    return routes


def _added(step: Step) -> Sequence[Any]:
    try:
        added: Sequence[Any] = step.check(step.call()) or ()
    except (Exception, asyncio.CancelledError) as error:  # the plugin's code: refused at start, by the contract
        raise PluginError(f"Plugin {step.plugin} failed in {HOOK}: {type(error).__name__}.") from error
    return added


def _check(route: Any, plugin: str, routes: Routes) -> None:
    if not isinstance(route, Route) or not route.path.startswith("/"):
        raise PluginError(f"Plugin {plugin} adds what is no route: {type(route).__name__}.",
                          mend=f"Tell the author of {plugin}.")  # fmt: skip
    if route.method in routes.find(route.path)[0]:
        raise PluginError(f"Plugin {plugin} adds {route.method} {route.path}, which is taken.",
                          mend="Leave it out of: use = [...]")  # fmt: skip
