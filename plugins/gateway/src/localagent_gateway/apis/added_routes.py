"""The routes that other plugins add."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from localagent import PluginError, Route
from localagent_gateway.apis.routing import Routes

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.pipeline.steps import Step

HOOK = "gateway_add_routes"


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
