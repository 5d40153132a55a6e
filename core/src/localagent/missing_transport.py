"""What stands in the place of a transport where no active plugin brings one.

A provider that sends nothing (a fake, one that runs a model in this process) never notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from localagent.errors import PluginError
from localagent.missing_plugins import missing_transport
from localagent.plugins import find_plugins

if TYPE_CHECKING:
    from localagent.instances import Instance
    from localagent.timer import Watch
    from localagent.transport import HttpAnswer


class MissingTransport:
    """Refuses every request to an instance, and says what to install.

    Args:
        instance: The instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> HttpAnswer:
        """Send nothing.

        Raises:
            PluginError: Always.
        """
        raise PluginError(f"No active plugin brings a transport for {self._instance.id}.",
                          mend=missing_transport(find_plugins()))  # fmt: skip

    async def aclose(self) -> None:
        """Close nothing."""
