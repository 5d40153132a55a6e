"""The plugin: hooks for others, commands, and what a worker serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from localagent import Command, Plugin, hookimpl
from localagent_gateway import hookspecs
from localagent_gateway.settings import GatewaySettings


class GatewayPlugin(Plugin):
    """Adds ``localagent serve``."""

    name = "gateway"
    settings_class = GatewaySettings
    settings: GatewaySettings
    hookspecs: ClassVar[Any] = hookspecs

    @hookimpl
    def add_commands(self) -> Sequence[Command]:
        """Add ``serve``."""
        return [Command("serve", "Serve the OpenAI, Ollama and Anthropic APIs.", _serve)]


def _serve() -> object:
    from localagent_gateway.serve_command import serve

    return serve
