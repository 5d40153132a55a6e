"""The default transport: HTTP over aiohttp, with a pool of connections for every instance."""

from localagent_connect_aiohttp.plugin import AiohttpConnectPlugin
from localagent_connect_aiohttp.sessions import Sessions
from localagent_connect_aiohttp.settings import AiohttpConnectSettings
from localagent_connect_aiohttp.transport import AiohttpTransport

__all__ = ["AiohttpConnectPlugin", "AiohttpConnectSettings", "AiohttpTransport", "Sessions"]
