"""The placeholder for a transport if no active plugin brings one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from localagent.errors import PluginError
from localagent.plugin_api.discovery import find_plugins
from localagent.plugin_api.installing import CONNECT, missing_role

if TYPE_CHECKING:
    from localagent.records.instances import Instance
    from localagent.records.transport import HttpAnswer
    from localagent.timing.phases import PhaseTimer


class MissingTransport:
    """The transport of an instance for which no active plugin brings one. It refuses every request.

    Providers that send no requests (fakes, or providers that run a model in this process) are not affected.

    Args:
        instance: The instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send nothing.

        Raises:
            PluginError: Always.
        """
        raise PluginError(f"No active plugin brings a transport for {self._instance.id}.",
                          hint=missing_role(CONNECT, find_plugins()))  # fmt: skip

    async def aclose(self) -> None:
        """Close nothing."""
