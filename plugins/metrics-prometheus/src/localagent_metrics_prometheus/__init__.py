"""The route ``/metrics`` for Prometheus: what the core and all plugins report of themselves."""

from localagent_metrics_prometheus.exposition import exposition
from localagent_metrics_prometheus.monitoring import dashboard_path, rules_path
from localagent_metrics_prometheus.plugin import PrometheusPlugin
from localagent_metrics_prometheus.settings import PrometheusSettings

__all__ = ["PrometheusPlugin", "PrometheusSettings", "dashboard_path", "exposition", "rules_path"]
