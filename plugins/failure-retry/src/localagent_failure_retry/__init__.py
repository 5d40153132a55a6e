"""Retries after a failure: another target at once, the same one after a pause."""

from localagent_failure_retry.plugin import RetryPlugin
from localagent_failure_retry.settings import RetrySettings

__all__ = ["RetryPlugin", "RetrySettings"]
