"""A transport that uses little CPU: HTTP/1.1 over asyncio protocols, parsed by llhttp."""

from localagent_connect_fast.plugin import FastConnectPlugin
from localagent_connect_fast.resolving import Resolver
from localagent_connect_fast.settings import FastConnectSettings
from localagent_connect_fast.transport import FastTransport

__all__ = ["FastConnectPlugin", "FastConnectSettings", "FastTransport", "Resolver"]
