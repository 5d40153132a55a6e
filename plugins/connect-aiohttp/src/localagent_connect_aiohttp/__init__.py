"""Keeps connections ready: one tuned pool an instance, with profiles for the providers there are."""

from localagent_connect_aiohttp.plugin import AiohttpConnectPlugin
from localagent_connect_aiohttp.pool_transport import PoolTransport
from localagent_connect_aiohttp.settings import AiohttpConnectSettings

__all__ = ["AiohttpConnectPlugin", "AiohttpConnectSettings", "PoolTransport"]
