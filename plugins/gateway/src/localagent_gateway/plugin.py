"""The plugin: hooks for other plugins, and the checks that ``doctor`` runs on a gateway."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from localagent import Call, Metric, Plugin, Principal, Settings, hookimpl
from localagent.plugin_api import HttpRequest
from localagent_gateway import hookspecs
from localagent_gateway.logs.call_facts import note
from localagent_gateway.settings import GatewaySettings, gateway_folder
from localagent_gateway.status.worker_totals import INSTRUMENTS

if TYPE_CHECKING:
    from localagent_cli import Finding, ProcessStatus
    from localagent_gateway.keys.authentication import KeyStep


class GatewayPlugin(Plugin):
    """Adds keys and the gateway's hooks to the pipeline, for ``localagent serve``. Its commands are entry points.

    Attributes:
        keys: The gateway's own keys; None while nothing is served.
    """

    name = "gateway"
    settings_class = GatewaySettings
    settings: GatewaySettings
    hookspecs: ClassVar[Any] = hookspecs
    instruments = INSTRUMENTS

    keys: KeyStep | None = None

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if self.settings.log == "none":
            self.record_metric = None  # type: ignore[method-assign, assignment]  # then nothing is computed for it

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.keys is not None:
            await self.keys.aclose()

    async def process_statuses(self, settings: Settings) -> list[ProcessStatus]:
        """Return the statuses of the workers of every gateway with this state folder; for ``doctor --live``."""
        from localagent_gateway.status.commands import live_statuses

        return await live_statuses(settings)

    def diagnose(self, settings: Settings) -> list[Finding]:
        """Return the findings about the key files; for ``doctor``."""
        from localagent_gateway.keys.store import diagnosis

        return diagnosis(gateway_folder(settings, os.environ), self.settings)

    @hookimpl
    def record_metric(self, call: Call, metric: Metric) -> None:
        """Note the figures of a call for the access log."""
        note(call, metric)

    @hookimpl(after="*", must=True)
    async def gateway_authenticate(self, request: HttpRequest) -> Principal | None:
        """Identify the caller by one of the gateway's own keys."""
        return await self.keys(request) if self.keys is not None else None
