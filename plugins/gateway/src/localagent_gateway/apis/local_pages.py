"""What web pages of programs on this machine may do without a key: ask the models of this machine, and nothing else."""

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
"""Models that an Ollama on this machine lets others answer, for money."""


class LocalPages:
    """The rule.

    Args:
        service: Knows the models.
        own: The gateway's own routes; those of plugins may do more than ask models.
    """

    def __init__(self, service: Service, own: Iterable[Route]) -> None:
        self._service = service
        self._own = {(route.method, route.path) for route in own}

    async def principal(self, route: Route) -> Principal:
        """Return who a page is that shows no key.

        Args:
            route: What it asks for.

        Raises:
            WrongPlace: It is a route that a plugin added.
        """
        if (route.method, route.path) not in self._own:
            raise WrongPlace("A web page may not ask for this.", hint="Add it to origins in [plugins.gateway].")
        return Principal() if route.open else Principal(models=await self._models())

    async def _models(self) -> frozenset[str]:
        """Return the models that cost nothing: of providers without credentials, all of whose instances are here."""
        runtime = await self._service.client.runtime()
        here = {name for name in runtime.fleet.registry.providers if _is_here(name, runtime)}
        listed, errors = await runtime.models.all(LIST_SECONDS, here)
        models = [*listed, *runtime.models.configured(errors)]
        free = {model.name for model in models if model.provider in here and not CLOUD.fullmatch(model.id)}
        aliases = runtime.settings.models.items()
        return frozenset(free | {name for name, alias in aliases if free.issuperset(alias.targets)})


def _is_here(provider: str, runtime: Runtime) -> bool:
    common = runtime.fleet.registry.providers[provider].common
    if common.keys or common.headers:  # a program here that passes requests on, perhaps, to what costs money
        return False
    return all(urlsplit(state.instance.url).hostname in LOOPBACK for state in runtime.instances.of(provider))
