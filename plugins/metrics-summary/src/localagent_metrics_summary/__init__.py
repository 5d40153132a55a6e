"""Counts, rates and percentiles of all operations, in constant memory."""

from localagent_metrics_summary.plugin import SummaryPlugin
from localagent_metrics_summary.records import Distribution, OperationRecord, Summary, summaries
from localagent_metrics_summary.settings import SummarySettings

__all__ = ["Distribution", "OperationRecord", "Summary", "SummaryPlugin", "SummarySettings", "summaries"]
