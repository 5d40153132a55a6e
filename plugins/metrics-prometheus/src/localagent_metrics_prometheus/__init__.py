"""The route ``/metrics`` for Prometheus: what the core and all plugins report of themselves."""

from pathlib import Path

from localagent_metrics_prometheus.exposition import exposition
from localagent_metrics_prometheus.plugin import PrometheusPlugin
from localagent_metrics_prometheus.settings import PrometheusSettings

__all__ = ["DASHBOARD", "RULES", "PrometheusPlugin", "PrometheusSettings", "exposition"]

DASHBOARD = Path(__file__).parent / "monitoring/dashboard.json"
"""A dashboard for Grafana."""
RULES = Path(__file__).parent / "monitoring/rules.yml"
"""Recording and alert rules for Prometheus."""
