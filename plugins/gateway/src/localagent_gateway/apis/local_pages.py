"""Web pages of programs on this machine: without a key they may use the models of this machine, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from localagent import Principal
from localagent.plugin_api import Route
from localagent_gateway.apis.service import LIST_SECONDS, Service
from localagent_gateway.errors import WrongPlace
from localagent_gateway.settings import LOOPBACK

if TYPE_CHECKING:
    from localagent.runtime import Runtime

CLOUD = re.compile(r".*[-:]cloud", re.IGNORECASE)
"""Models that an Ollama on this machine forwards to a paid service."""


class LocalPages:
    """Decides which models such a page may use.

    Args:
        service: Lists the models.
        own: The gateway's own routes; those of plugins may do more than call models.
    """

    def __init__(self, service: Service, own: Iterable[Route]) -> None:
        self._service = service
        self._own = {(route.method, route.path) for route in own}

    async def principal(self, route: Route) -> Principal:
        """Return the principal of a page that sends no key.

        Args:
            route: The route that it calls.

        Raises:
            WrongPlace: A plugin has added the route.
        """
        if (route.method, route.path) not in self._own:
            raise WrongPlace(
                "A web page needs a key for this path.", hint="Add the page to origins in [plugins.gateway]."
            )
        return Principal() if route.open else Principal(models=await self._models())

    async def _models(self) -> frozenset[str]:
        """Return the models that cost nothing: those of providers without credentials and only with local instances."""
        runtime = await self._service.client.runtime()
        here = {name for name in runtime.fleet.registry.providers if _is_here(name, runtime)}
        listed, errors = await runtime.models.all(LIST_SECONDS, here)
        models = [*listed, *runtime.models.configured(errors)]
        free = {model.name for model in models if model.provider in here and not CLOUD.fullmatch(model.id)}
        aliases = runtime.settings.models.items()
        return frozenset(free | {name for name, alias in aliases if free.issuperset(alias.targets)})


def _is_here(provider: str, runtime: Runtime) -> bool:
    common = runtime.fleet.registry.providers[provider].common
    if common.keys or common.headers:  # it may be a local program that forwards requests to a paid service
        return False
    return all(urlsplit(state.instance.url).hostname in LOOPBACK for state in runtime.instances.of(provider))
