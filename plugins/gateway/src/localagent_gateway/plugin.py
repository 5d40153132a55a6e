"""The plugin: hooks for others, commands, and what a worker serves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from localagent import Command, Condition, FrontRequest, Plugin, Principal, Settings, hookimpl
from localagent_gateway import hookspecs
from localagent_gateway.keys.place import keys_folder
from localagent_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from localagent_cli.findings import Finding
    from localagent_gateway.keys.authentication import KeyStep


class GatewayPlugin(Plugin):
    """Adds ``localagent serve``, ``keys``, ``stats`` and ``instances``.

    Attributes:
        keys: The gateway's own keys; None while nothing is served.
    """

    name = "gateway"
    settings_class = GatewaySettings
    settings: GatewaySettings
    hookspecs: ClassVar[Any] = hookspecs

    keys: KeyStep | None = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.keys is not None:
            await self.keys.aclose()

    async def conditions(self, settings: Settings) -> list[Condition]:
        """Return how the workers of every gateway are that serves from this state folder; for ``doctor --live``."""
        from localagent_gateway.live_conditions import live_conditions

        return await live_conditions(settings)

    def diagnose(self, settings: Settings) -> list[Finding]:
        """Return what is wrong with the files of keys; for ``doctor``."""
        from localagent_gateway.keys.diagnosis import diagnosis

        return diagnosis(keys_folder(settings, os.environ), self.settings)

    @hookimpl
    def add_commands(self) -> Sequence[Command]:
        """Add ``serve``, ``keys``, ``stats`` and ``instances``."""
        return [
            Command("serve", "Serve the OpenAI, Ollama and Anthropic APIs.", _serve),
            Command("keys", "Create, list or revoke the keys of those who may use the gateway.", _keys),
            Command("stats", "Show what the workers of a gateway that serves now do, and have done.", _stats),
            Command("instances", "Show the instances of a gateway that serves now.", _instances),
        ]

    @hookimpl(after="*", must=True)
    async def gateway_authenticate(self, request: FrontRequest) -> Principal | None:
        """Say who shows one of the gateway's own keys."""
        return await self.keys(request) if self.keys is not None else None


def _serve() -> object:
    from localagent_gateway.serve_command import serve

    return serve


def _keys() -> object:
    from localagent_gateway.keys.command import keys

    return keys


def _stats() -> object:
    from localagent_gateway.live_commands import stats

    return stats


def _instances() -> object:
    from localagent_gateway.live_commands import instances

    return instances
