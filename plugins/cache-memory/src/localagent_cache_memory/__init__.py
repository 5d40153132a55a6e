"""Answers repeated requests from memory, within limits on bytes, entries and age."""

from localagent_cache_memory.figures import Counts, EntryFigures, Figures
from localagent_cache_memory.plugin import MemoryCachePlugin
from localagent_cache_memory.settings import MemoryCacheSettings

__all__ = ["Counts", "EntryFigures", "Figures", "MemoryCachePlugin", "MemoryCacheSettings"]
