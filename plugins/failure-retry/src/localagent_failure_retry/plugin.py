"""The plugin: collects the failures of a call, and asks the policy."""

from __future__ import annotations

from collections.abc import Iterable

from localagent import Attempt, Plugin, Retry, Target, hookimpl
from localagent_failure_retry.policy import Failed, decide
from localagent_failure_retry.settings import RetrySettings


class RetryPlugin(Plugin):
    """Decides whether, where and when a failed attempt is followed by another; the core counts and may refuse."""

    name = "failure-retry"
    settings_class = RetrySettings
    settings: RetrySettings

    @hookimpl(after="failure-continue", before="failure-fallback")
    def on_failure(self, attempt: Attempt) -> Retry | None:
        """Return the retry to make; None leaves the decision to the next plugin, and in the end raises the error."""
        call = attempt.call
        failed = failures(call.attempts)
        tried = {other.target for other in call.attempts}
        now = self.core.clock()
        return decide(
            failed[attempt.target],
            failed.values(),
            untried=[target for target in call.candidates if target not in tried],
            now=now,
            left=call.deadline - now,
            settings=self.settings,
            random=self.core.random,
        )


def failures(attempts: Iterable[Attempt]) -> dict[Target, Failed]:
    """Return the last failure of each failed target, by target, in the order of their first failures.

    Args:
        attempts: The attempts of a call, oldest first.
    """
    found: dict[Target, Failed] = {}
    for attempt in attempts:
        outcome = attempt.outcome
        if outcome is not None and outcome.error is not None:
            target = attempt.target
            times = found[target].times + 1 if target in found else 1
            found[target] = Failed(target, outcome.error, outcome.ended, times, attempt.state.draining)
    return found
