"""The pipeline: plugins in order, their steps, and the plans made of them.

For fronts and tools that show or check a pipeline; plugins need none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.pipeline.assembly import (
        Assembled as Assembled, assemble as assemble, read_settings as read_settings,
    )
    from localagent.pipeline.pipeline import Pipeline as Pipeline
    from localagent.pipeline.plan import Plan as Plan
    from localagent.pipeline.steps import Step as Step
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "assembly": "Assembled assemble read_settings",
        "pipeline": "Pipeline",
        "plan": "Plan",
        "steps": "Step",
    },
)
