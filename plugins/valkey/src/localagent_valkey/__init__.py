"""Machines share their answers through Valkey or Redis; while it fails, they work without it."""

from localagent_valkey.figures import ValkeyFigures
from localagent_valkey.plugin import ValkeyCachePlugin
from localagent_valkey.settings import ValkeyCacheSettings

__all__ = ["ValkeyCachePlugin", "ValkeyCacheSettings", "ValkeyFigures"]
