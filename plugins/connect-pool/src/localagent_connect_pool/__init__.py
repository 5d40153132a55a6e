"""Keeps connections ready: one tuned pool an instance, with profiles for the providers there are."""

from localagent_connect_pool.plugin import ConnectPoolPlugin
from localagent_connect_pool.settings import ConnectPoolSettings
from localagent_connect_pool.transport import PoolTransport

__all__ = ["ConnectPoolPlugin", "ConnectPoolSettings", "PoolTransport"]
