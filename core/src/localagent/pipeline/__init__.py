"""The pipeline: plugins, the order of their steps, and the compiled plans.

For HTTP servers and for tools that show or check a pipeline. Plugins do not need it.
"""

from __future__ import annotations

from localagent.pipeline.assembly import Assembled, assemble, read_settings
from localagent.pipeline.pipeline import Pipeline
from localagent.pipeline.plan import Plan
from localagent.pipeline.steps import Step

__all__ = [
    "Assembled", "Pipeline", "Plan", "Step", "assemble", "read_settings",
]  # fmt: skip
