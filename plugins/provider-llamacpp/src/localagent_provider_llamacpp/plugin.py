"""The provider type ``llamacpp``: runs models on this machine, in child processes of this program."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from localagent import (
    Attempt,
    HttpAnswer,
    Instance,
    ModelInfo,
    OpenAICompatible,
    Plugin,
    Provider,
    ProviderSetup,
    ProviderType,
    Transport,
    hookimpl,
)
from localagent.errors import ConnectFailed, ModelNotFound
from localagent.timing import PhaseTimer
from localagent_provider_llamacpp.attached import AttachedServer
from localagent_provider_llamacpp.error_rules import RULES
from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.models import file_mark, find_model, is_remote
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_provider_llamacpp.shared_servers import SharedServers
from localagent_provider_llamacpp.supervisor import ModelServer

progress = logging.getLogger("localagent.progress")


@attrs.frozen
class LlamaCppSettings(ModelServerSettings):
    """``[providers.NAME]`` of type ``llamacpp``, beyond what every provider has.

    Attributes:
        processes: Number of processes that serve the model; each is an instance and loads the model into memory.
    """

    processes: int = attrs.field(default=1, validator=attrs.validators.ge(1))


class LlamaCppPlugin(Plugin):
    """Provides the provider type ``llamacpp``; a provider of that name exists without configuration."""

    name = "provider-llamacpp"

    @hookimpl
    def provide(self) -> Sequence[ProviderType]:
        """Return the provider type."""
        return [
            ProviderType(
                name="llamacpp",
                settings=LlamaCppSettings,
                make=LlamaCppProvider,
                default=_built_in,
                share=_share,
                error_rules=RULES,
            )
        ]


def _built_in(environment: Mapping[str, str]) -> Mapping[str, Any]:
    return {}


def _share(settings: LlamaCppSettings, address: Path) -> SharedServers:
    return SharedServers([ModelServer(settings, on_progress=progress.info) for _ in range(settings.processes)], address)


class LlamaCppProvider(OpenAICompatible, Provider):
    """Serves one model with the configured number of supervised processes, which start with the first request.

    If several processes use the same settings, one of them may run the servers for all (``setup.shared``).

    Args:
        setup: The setup from the core.
    """

    def __init__(self, setup: ProviderSetup) -> None:
        settings: LlamaCppSettings = setup.settings
        fingerprint = setup.fingerprint({}, file_mark(settings.model))
        instances = [
            Instance(f"{setup.name}#{number}", setup.name, setup.type, "http://127.0.0.1", 1.0, setup.common.pool,
                     fingerprint)
            for number in range(1, settings.processes + 1)
        ]  # fmt: skip
        super().__init__(setup, instances, {})
        self.model = PurePosixPath(settings.model.rpartition(":")[2]).stem
        self.default_model = self.model
        self._servers = {instance: self._server(number, instance) for number, instance in enumerate(instances)}

    def _server(self, number: int, instance: Instance) -> ModelServer | AttachedServer:
        setup = self.setup
        on_change = functools.partial(self._changed, instance)
        if setup.shared:
            return AttachedServer(setup.shared, number, on_change)
        clock, chance = setup.core.clock, setup.core.random.random
        return ModelServer(setup.settings, on_change=on_change, on_progress=progress.info, clock=clock, chance=chance)

    def _changed(self, instance: Instance, endpoint: Endpoint | None) -> None:
        self.setup.core.instances.report(instance, "healthy" if endpoint else "loading")

    async def aclose(self) -> None:
        """End all processes."""
        await asyncio.gather(*(server.aclose() for server in self._servers.values()))

    def url(self, instance: Instance) -> str:
        """Return the current address of the instance's process; a restart changes its port.

        Raises:
            ConnectFailed: The process died after it was found ready.
        """
        endpoint = self._servers[instance].endpoint
        if endpoint is None:
            raise ConnectFailed(f"The process of {instance.id} has just ended.", phase="connect")
        return endpoint.url + "/v1"

    def headers(self, instance: Instance) -> Mapping[str, str]:
        """Return the headers for the instance's process, with its current key."""
        endpoint = self._servers[instance].endpoint
        secret = {"Authorization": f"Bearer {endpoint.key.reveal()}"} if endpoint else {}
        return {**super().headers(instance), **secret}

    async def list_models(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> Sequence[ModelInfo]:
        """Return the one model, without starting a process.

        Raises:
            SettingsError: The model's file does not exist.
        """
        if not is_remote(self.setup.settings.model):
            find_model(self.setup.settings.model)
        return [ModelInfo(id=self.model, provider=self.setup.name, instance=instance.id, owner="llama.cpp",
                          context_length=self.setup.settings.context)]  # fmt: skip

    async def check(self, instance: Instance, transport: Transport, phases: PhaseTimer) -> None:
        """Check the process if it was started, otherwise check that the model's file exists."""
        if self._servers[instance].state == "new":
            await self.list_models(instance, transport, phases)
        else:
            phases.enter("load")
            await self._servers[instance].ready()
            await super().list_models(instance, transport, phases)

    async def _post(self, attempt: Attempt, transport: Transport, path: str, **fields: Any) -> HttpAnswer:
        target = attempt.target
        if target.model not in (self.model, "default"):
            raise ModelNotFound(f"The provider {self.setup.name} runs only {self.model}, not {target.model}.",
                                hint=f"Use the model {self.setup.name}/{self.model}.")  # fmt: skip
        server = self._servers[target.instance]
        if server.endpoint is None:
            attempt.phases.enter("load")
            await server.ready()
        return await super()._post(attempt, transport, path, **fields)
