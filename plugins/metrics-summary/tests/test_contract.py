"""The promises of every plugin that counts operations."""

from __future__ import annotations

from localagent_metrics_summary import SummaryPlugin
from localagent_testing import MetricsContract


class TestContract(MetricsContract):
    """One test a promise."""

    plugin = SummaryPlugin
