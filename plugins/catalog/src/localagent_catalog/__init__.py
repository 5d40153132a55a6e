"""Remembers which models the instances offer and what they can do, across processes."""

from localagent_catalog.plugin import CatalogPlugin
from localagent_catalog.settings import CatalogSettings

__all__ = ["CatalogPlugin", "CatalogSettings"]
