"""A plan holds the steps of one operation."""

from __future__ import annotations

from made_steps import gives, step_of

from localagent.pipeline import Plan


def test_a_plan_can_be_changed_step_by_step() -> None:
    """``mapped`` makes another plan."""
    steps = tuple(step_of(gives(number, awaits=False)) for number in range(3))
    plan = Plan("chat", rate_check=steps, needs_usage=True)
    changed = plan.mapped(lambda step: steps[2] if step is steps[0] else step)
    assert (changed.rate_check, changed.needs_usage) == ((steps[2], *steps[1:]), True)
    assert (changed.operation, changed.pre_request, plan.rate_check) == ("chat", (), steps)
