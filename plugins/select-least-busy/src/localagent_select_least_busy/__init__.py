"""Sends each request to the least busy instance."""

from localagent_select_least_busy.plugin import LeastBusyPlugin

__all__ = ["LeastBusyPlugin"]
