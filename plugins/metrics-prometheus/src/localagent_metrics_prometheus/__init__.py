"""The route ``/metrics`` for Prometheus: what the core and all plugins report of themselves."""

from localagent_metrics_prometheus.exposition import exposition
from localagent_metrics_prometheus.plugin import PrometheusPlugin
from localagent_metrics_prometheus.settings import PrometheusSettings

__all__ = ["PrometheusPlugin", "PrometheusSettings", "exposition"]
