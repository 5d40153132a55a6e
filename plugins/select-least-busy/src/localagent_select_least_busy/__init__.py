"""Each request goes to the instance that has the least to do."""

from localagent_select_least_busy.plugin import LeastBusyPlugin

__all__ = ["LeastBusyPlugin"]
