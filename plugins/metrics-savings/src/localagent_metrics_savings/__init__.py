"""Counts the calls, tokens and seconds that caches and shared work saved."""

from localagent_metrics_savings.ledger import Amount, Line
from localagent_metrics_savings.plugin import SavingsPlugin
from localagent_metrics_savings.settings import SavingsSettings

__all__ = ["Amount", "Line", "SavingsPlugin", "SavingsSettings"]
