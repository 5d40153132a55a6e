"""Files for the programs that read ``/metrics``: a dashboard, and alert rules."""

from __future__ import annotations

from pathlib import Path


def dashboard_path() -> Path:
    """Return the path of a dashboard for Grafana, as JSON."""
    return Path(__file__).parent / "dashboard.json"


def rules_path() -> Path:
    """Return the path of recording and alert rules for Prometheus."""
    return Path(__file__).parent / "rules.yml"
