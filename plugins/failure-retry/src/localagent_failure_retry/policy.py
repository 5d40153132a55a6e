"""The retry policy: a pure function of the failures, the remaining time, and random numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

import msgspec

from localagent import LocalAgentError, Retry, Target
from localagent.errors import ConnectFailed
from localagent_failure_retry.settings import RetrySettings

# Seconds, doubled with each failure of the target. Both, and the limit of 20 s, are those of the AWS SDKs' standard
# retry mode in its revision of 2026.
BASES = {"transient": 0.05, "throttle": 1.0}
HINT_JITTER = 0.25  # share of the hint, added to it, so that clients that got the same hint do not retry together
MOST_DOUBLINGS = 60  # beyond every cap, and within the range of a float


class Failed(msgspec.Struct, frozen=True):
    """A target that failed in this call.

    Attributes:
        target: The target.
        error: Its last error.
        ended: Clock time of that failure, in seconds.
        times: How often it failed in this call.
        draining: Whether its instance accepts no new requests.
    """

    target: Target
    error: LocalAgentError
    ended: float
    times: int = 1
    draining: bool = False


def decide(
    latest: Failed,
    failed: Collection[Failed],
    *,
    untried: Sequence[Target],
    now: float,
    left: float,
    settings: RetrySettings,
    random: Random,
) -> Retry | None:
    """Decide what follows a failure.

    Args:
        latest: The failure in question.
        failed: All targets that failed in this call, including ``latest``.
        untried: The candidates not yet tried in this call, the best first.
        now: Clock time, in seconds.
        left: Seconds until the call's deadline.
        settings: The limits.
        random: The source of jitter.

    Returns:
        After a kept connection broke, at once: another instance of the same model, or else the same target. The break
        does not show that the server is down, but if it is, asking it again would waste an attempt. Otherwise the next
        untried target, at once, if there is one. Then the target that may be asked again soonest, at its time. None
        when a retry cannot help according to the error, or no wait is allowed or ends before the deadline.
    """
    if latest.error.advice.stale and may_repeat(latest, True, settings):
        return Retry(next((target for target in untried if target.name == latest.target.name), "same"))
    elsewhere = latest.error.advice.next
    if elsewhere and untried:
        return Retry("next")
    choices = [one for one in (failed if elsewhere else (latest,)) if may_repeat(one, one is latest, settings)]
    waits = [(one, *window(one, now, settings)) for one in choices]
    in_time = [wait for wait in waits if wait[1] < left]
    if not in_time:
        return None
    chosen, shortest, longest = min(in_time, key=lambda wait: wait[2])
    after = random.uniform(shortest, min(longest, left))
    return Retry("same" if chosen is latest else chosen.target, after)


def may_repeat(failed: Failed, at_once: bool, settings: RetrySettings) -> bool:
    """Return whether a target may be asked again in this call.

    Args:
        failed: The target and how it failed.
        at_once: Whether no other target was asked since. A server that failed is not asked twice in a row; once the
            others have failed, too, a new round begins with it.
        settings: The limits.
    """
    error = failed.error
    hint = error.retry_after
    return (
        (error.advice.same or _refused(error) or (error.advice.later and not at_once))
        and not failed.draining
        and failed.times < settings.attempts_per_target
        and (hint is None or hint <= settings.max_wait)
    )


def _refused(error: LocalAgentError) -> bool:
    """Whether the connection was refused: the server may be starting. A wrong name or certificate stays wrong."""
    return isinstance(error, ConnectFailed) and error.phase not in ("dns", "tls")


def window(failed: Failed, now: float, settings: RetrySettings) -> tuple[float, float]:
    """Return the shortest and the longest time until a target may be asked again.

    Args:
        failed: The target and how it failed.
        now: Clock time, in seconds.
        settings: The limits.

    Returns:
        Seconds from now. With a hint of the server: the hint, and a quarter more. Without one: 0, and the backoff of
        the error's class ("full jitter": uniform between 0 and min(cap, base x 2^n)). The time since the failure is
        subtracted from both.
    """
    hint = failed.error.retry_after
    shortest, longest = (0.0, backoff(failed, settings)) if hint is None else (hint, hint * (1 + HINT_JITTER))
    passed = now - failed.ended
    return max(0.0, shortest - passed), max(0.0, longest - passed)


def backoff(failed: Failed, settings: RetrySettings) -> float:
    """Return the longest backoff in seconds, by the error's class and how often the target failed."""
    pace = failed.error.advice.pace
    cap = settings.throttle_cap if pace == "throttle" else settings.transient_cap
    return min(cap, BASES[pace] * 2.0 ** min(failed.times - 1, MOST_DOUBLINGS))
