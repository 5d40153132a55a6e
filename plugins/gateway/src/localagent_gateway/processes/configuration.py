"""The configuration of a gateway: the command line of ``localagent serve``, and the settings in force."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import attrs
import msgspec

from localagent import Client, Settings
from localagent.errors import PluginError
from localagent.instances import SHARED_VARIABLE
from localagent.pipeline import Pipeline
from localagent.runtime import PROCESSES_VARIABLE
from localagent.settings import SettingsFile, StateFolder, all_missing_keys, read_settings_file
from localagent_cli import CommandLine
from localagent_gateway.keys.authentication import need_keys
from localagent_gateway.processes.shared_resources import NO_LEASE, Lease, SharedResources
from localagent_gateway.settings import GatewaySettings, gateway_folder
from localagent_gateway.status.control_socket import Gather, control

log = logging.getLogger("localagent")


@attrs.frozen
class Configuration:
    """The command line, and the settings file as it was read; both stay in force until it is read ``again``.

    Attributes:
        line: The command line.
        options: Names and values of gateway settings that override the file; None for an option that was not given.
        file: The settings file as it was read; the current file on disk is not used.
        gateway: The gateway's settings.
        shared: The addresses of the resources that run once for all workers, by the provider's name.
        lease: Keeps these resources running; empty in a worker process.
        workers: The number of workers.
    """

    line: CommandLine
    options: Mapping[str, Any]
    file: SettingsFile
    gateway: GatewaySettings
    shared: Mapping[str, str] = {}
    lease: Lease = NO_LEASE
    workers: int = 1

    @classmethod
    def read(cls, line: CommandLine, options: Mapping[str, Any]) -> Self:
        """Read the settings file.

        Raises:
            SettingsError: The settings are wrong.
            PluginError: A plugin is missing, broken, or ordered in a contradiction; or the gateway is not active.
            StartError: They name an address other than loopback, and no key exists.
        """
        configuration = cls.of(line, options, read_settings_file(line.config, os.environ))
        settings, pipeline = configuration.assembled()
        if "gateway" not in pipeline.plugins:
            raise PluginError("The plugin gateway is not active.", hint="Add it to use = [...].")
        need_keys(configuration.gateway, gateway_folder(settings, os.environ), pipeline)
        return attrs.evolve(configuration, workers=configuration.gateway.workers)

    @classmethod
    def of(
        cls,
        line: CommandLine,
        options: Mapping[str, Any],
        file: SettingsFile,
        shared: Mapping[str, str] = {},
        workers: int = 1,
    ) -> Self:
        """Return the configuration for a settings file that was read before; the arguments are the attributes.

        Raises:
            SettingsError: The settings are wrong.
        """
        own = file.settings(os.environ).for_plugin("gateway", GatewaySettings)
        chosen = {name: value for name, value in options.items() if value is not None}
        return cls(line, options, file, attrs.evolve(own, **chosen), shared, workers=workers)

    def again(self) -> Self:
        """Read the settings file again; the number of workers stays. Raises the errors of ``read``."""
        return attrs.evolve(self.read(self.line, self.options), workers=self.workers)

    def assembled(self) -> tuple[Settings, Pipeline]:
        """Return the settings in force and the compiled pipeline, not started. Raises the errors of ``read``."""
        settings, pipeline, _ = self.line.assembled(self.file.settings(os.environ))
        return settings, pipeline

    def client(self, replaces: Client | None = None) -> Client:
        """Return a client with the settings in force.

        Args:
            replaces: The client that it replaces.
        """
        variables = {PROCESSES_VARIABLE: str(self.workers)}
        if self.shared:
            variables[SHARED_VARIABLE] = msgspec.json.encode(self.shared).decode()
        return Client(self.file.settings(os.environ), environment={**os.environ, **variables}, replaces=replaces)

    async def with_shared(self, resources: SharedResources) -> Self:
        """Return this configuration with a lease on the resources that run once for all workers, and open them.

        Raises:
            SettingsError: The settings are wrong.
            PluginError: A plugin is missing, broken, or ordered in a contradiction.
        """
        settings, pipeline = self.assembled()
        for missing in all_missing_keys(settings, os.environ):
            log.warning("%s", missing.error)
        lease = await resources.follow(settings, pipeline, os.environ)
        return attrs.evolve(self, shared=lease.addresses, lease=lease)

    @contextlib.asynccontextmanager
    async def announced(self, sockets: Sequence[socket.socket], gather: Gather) -> AsyncIterator[None]:
        """Print the gateway's addresses, and answer on the control socket while the context is open.

        Args:
            sockets: The listening sockets.
            gather: Returns the statistics of each worker; see ``control``.
        """
        urls = [_url(sock) for sock in sockets]
        settings = self.file.settings(os.environ)
        not_kept = partial(StateFolder(settings, os.environ).not_kept, "gateway", "its control socket")
        async with control(gateway_folder(settings, os.environ), urls, gather, not_kept):
            for url in urls:
                self.line.terminal.note(f"Serving on {url}/v1")
            yield


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
