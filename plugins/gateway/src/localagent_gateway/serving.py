"""What was asked for on the command line of ``localagent serve``, for every time that the settings are read."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from localagent import Client
from localagent.command.line import CommandLine
from localagent.registry import SHARED_VARIABLE
from localagent.runtime import PROCESSES_VARIABLE
from localagent_gateway.control import Gather, control
from localagent_gateway.keys.authentication import need_keys
from localagent_gateway.keys.place import keys_folder
from localagent_gateway.settings import GatewaySettings
from localagent_gateway.shared_parts import SharedParts


@attrs.frozen
class Serving:
    """The command line, and the options that stand above the settings file.

    Attributes:
        line: The command line.
        options: Names and values of gateway settings; None where nothing was said.
        shared: Where providers reach what runs once for all workers, by the provider's name.
        workers: How many workers there are.
    """

    line: CommandLine
    options: Mapping[str, Any]
    shared: Mapping[str, str] = {}
    workers: int = 1

    def settings(self) -> GatewaySettings:
        """Read the gateway's settings.

        Raises:
            SettingsError: They are wrong.
            PluginError: A plugin is missing, broken, or ordered in a contradiction.
            StartError: They name an address beyond loopback, and there is no key.
        """
        settings, pipeline, _ = self.line.assembled()
        gateway = self.over(settings.for_plugin("gateway", GatewaySettings))
        need_keys(gateway, keys_folder(settings, os.environ), pipeline)
        return gateway

    def over(self, settings: GatewaySettings) -> GatewaySettings:
        """Return settings with the options in the place of what they stand above."""
        return attrs.evolve(settings, **{name: value for name, value in self.options.items() if value is not None})

    def client(self, replaces: Client | None = None) -> Client:
        """Return a client that reads the settings when it opens.

        Args:
            replaces: The client whose place it takes.
        """
        told = {PROCESSES_VARIABLE: str(self.workers)}
        if self.shared:
            told[SHARED_VARIABLE] = msgspec.json.encode(self.shared).decode()
        return Client(self.line.config, environment={**os.environ, **told}, replaces=replaces)

    async def with_shared(self, parts: SharedParts) -> Serving:
        """Return the same with what runs once for all workers, opened as the settings now ask for it.

        Raises:
            SettingsError: They are wrong.
            PluginError: A plugin is missing, broken, or ordered in a contradiction.
        """
        settings, pipeline, _ = self.line.assembled()
        return attrs.evolve(self, shared=await parts.follow(settings, pipeline, os.environ))

    @contextlib.asynccontextmanager
    async def told(self, sockets: Sequence[socket.socket], gather: Gather) -> AsyncIterator[None]:
        """Print where it is served, and answer on the control socket while the context is open.

        Args:
            sockets: The listening sockets.
            gather: Returns how each worker stands; see ``control``.
        """
        urls = [_url(sock) for sock in sockets]
        async with control(keys_folder(self.line.settings(), os.environ), urls, gather):
            for url in urls:
                self.line.terminal.note(f"Serving on {url}/v1")
            yield


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
