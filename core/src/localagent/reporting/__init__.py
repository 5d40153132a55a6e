"""What the core reports of itself and of its process; see ``Client.stats``."""

from __future__ import annotations

from localagent.reporting.core_report import CORE_INSTRUMENTS, core_samples, plugin_samples
from localagent.reporting.process_report import PROCESS_INSTRUMENTS, process_samples, resident_bytes

__all__ = [
    "CORE_INSTRUMENTS",
    "PROCESS_INSTRUMENTS",
    "core_samples",
    "plugin_samples",
    "process_samples",
    "resident_bytes",
]
