"""Failures of plugins that do not reach the user are counted, and logged now and then."""

from __future__ import annotations

import logging

import pytest
from made_steps import gives, step_of

from localagent.pipeline.failures import PluginFailures
from localagent_testing import ManualClock


def test_failures_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """For each plugin and hook; all are counted. The text of the exception is not logged."""
    clock = ManualClock()
    failures = PluginFailures(clock)
    step = step_of(gives(None, awaits=False), failures=failures)
    with caplog.at_level(logging.WARNING):
        for seconds in (0, 30, 29, 2, 10):
            clock.advance(seconds)
            failures.note(step, ValueError("secret"))
    assert [record.getMessage() for record in caplog.records] == [
        "Plugin rate-x failed in some_hook: ValueError (further failures are only counted)."
    ] * 2
    assert failures.counts[("rate-x", "some_hook")] == 5
