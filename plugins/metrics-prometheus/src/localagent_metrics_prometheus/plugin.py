"""The plugin: a route of the gateway, and the same text for programs."""

from __future__ import annotations

from collections.abc import Sequence

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent_metrics_prometheus.exposition import exposition
from localagent_metrics_prometheus.settings import PrometheusSettings


class PrometheusPlugin(Plugin):
    """Shows what the core and all plugins report, summed over the processes of the gateway."""

    name = "metrics-prometheus"
    settings_class = PrometheusSettings
    settings: PrometheusSettings

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        """Add the route."""
        return [Route("GET", self.settings.path, self._answer, open=self.settings.open)]

    async def _answer(self, request: HttpRequest, principal: Principal) -> HttpResponse:
        body, content_type = await self.text(request.headers.get("accept", ""))
        return HttpResponse(200, body, {"content-type": content_type})

    async def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return all samples as text, and its content type.

        Args:
            accept: What the reader accepts, as in the header ``Accept``.
        """
        return exposition(await self.core.gather_stats(), accept, self.settings.detail)
