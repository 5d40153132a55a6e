"""The pipeline: plugins in order, their steps, and the plans made of them.

For fronts and tools that show or check a pipeline; plugins need none of this.
"""

from __future__ import annotations

from localagent.pipeline.assembly import Assembled, assemble, read_settings
from localagent.pipeline.pipeline import Pipeline
from localagent.pipeline.plan import Plan
from localagent.pipeline.steps import Step

__all__ = [
    "Assembled", "Pipeline", "Plan", "Step", "assemble", "read_settings",
]  # fmt: skip
