"""Answers that ask the client to wait, and answers for which waiting does not help (F14 to F24)."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

from localagent.errors import QuotaExhausted, RateLimited
from localagent_testing.faults.exchanges import refuses, replies
from localagent_testing.faults.expectations import NO_HINT, Hint, Says, fails, hint
from localagent_testing.faults.records import BOTH, OPENAI, Fault, ProtocolName, Scene
from localagent_testing.faults.vendors import anthropic, gemini
from localagent_testing.http_bytes import answer
from localagent_testing.steps import ReadRequest, Script, Send

SLOWER = Says(same=True, next=True, billed="no", breaker="neutral")
QUOTA = fails(
    QuotaExhausted, says=Says(same=False, next=True, billed="no", breaker="neutral"), code="insufficient_quota"
)


def too_fast(
    id_: str,
    title: str,
    headers: dict[str, str],
    wait: Hint,
    *,
    says: Says = SLOWER,
    protocols: tuple[ProtocolName, ...] = BOTH,
) -> Fault:
    """Return a row for a 429 whose headers say how long to wait."""
    script = refuses(429, "Rate limit reached.", kind="requests", code="rate_limit_exceeded", headers=headers)
    return Fault(id_, title, script, fails(RateLimited, says=says, retry_after=wait), protocols)


def too_fast_until(id_: str, title: str, header: str, when: str) -> Fault:
    """Return a row for a 429 that names a time 30 seconds from now; ``when`` is ``http`` or ``rfc3339``."""

    def script(scene: Scene) -> Script:
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
        text = format_datetime(at, usegmt=True) if when == "http" else at.strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {header: text, header.replace("-reset", "-remaining"): "0"} if when == "rfc3339" else {header: text}
        body = scene.dialect.error("Rate limit reached.", kind="rate_limit_error")
        return (ReadRequest(), Send(answer(429, body, headers)))

    return Fault(id_, title, script, fails(RateLimited, says=SLOWER, retry_after=Hint(20.0, 31.0)), OPENAI)


def out_of_money(code: str) -> Fault:
    """Return a row for a 429 for which waiting does not help."""
    script = refuses(429, "You exceeded your current quota.", kind="insufficient_quota", code=code)
    return Fault(f"F19.{code}", f"429 {code}", script, QUOTA, OPENAI)


ROWS: tuple[Fault, ...] = (
    too_fast("F14", "429 with retry-after", {"retry-after": "1"}, hint(1.0)),
    *(
        too_fast(
            f"F15.{text}",
            f"429 with x-ratelimit-reset-tokens: {text}",
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text},
            hint(seconds),
            protocols=OPENAI,
        )
        for text, seconds in (("6m0s", 360.0), ("1.2s", 1.2), ("20ms", 0.02))
    ),
    too_fast(
        "F16",
        "429 with retry-after-ms and retry-after",
        {"retry-after-ms": "350", "retry-after": "1"},
        hint(0.35),
        protocols=OPENAI,
    ),
    too_fast(
        "F17.past",
        "429 with a date that has passed",
        {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"},
        NO_HINT,
    ),
    too_fast_until("F17.future", "429 with a date in 30 seconds", "retry-after", "http"),
    too_fast("F18.hour", "429 with retry-after: 3600", {"retry-after": "3600"}, hint(3600.0), says=Says(next=True)),
    *(
        too_fast(f"F18.{name}", f"429 with retry-after: {text!r}", {"retry-after": text}, wait, says=Says(next=True))
        for name, text, wait in (
            ("nan", "nan", NO_HINT),
            ("negative", "-1", NO_HINT),
            ("huge", "1e309", Hint(0.0, 1e9, absent=True)),
            ("empty", "", NO_HINT),
            ("text", "soon", NO_HINT),
        )
    ),
    *map(
        out_of_money,
        (
            "insufficient_quota",
            "credit_balance_exhausted",
            "project_spend_limit_exceeded",
            "organization_spend_limit_exceeded",
        ),
    ),
    Fault(
        "F20",
        "429 slow_down",
        refuses(429, "Slow down.", kind="requests", code="slow_down"),
        fails(RateLimited, says=Says(same=True, billed="no", breaker="neutral")),
        OPENAI,
    ),
    Fault(
        "F21",
        "429 rate_limit_error with retry-after",
        replies(answer(429, anthropic("rate_limit_error", "Too many requests."), {"retry-after": "7"})),
        fails(RateLimited, says=SLOWER, retry_after=hint(7.0)),
        OPENAI,
    ),
    too_fast_until(
        "F21.reset",
        "429 with anthropic-ratelimit-requests-reset alone",
        "anthropic-ratelimit-requests-reset",
        "rfc3339",
    ),
    Fault(
        "F22",
        "429 enforced_spend_limit_reached",
        replies(
            answer(
                429,
                anthropic("rate_limit_error", "Spend limit reached.", error_code="enforced_spend_limit_reached"),
            )
        ),
        QUOTA,
        OPENAI,
    ),
    *(
        Fault(
            f"F23{form}",
            f"429 RESOURCE_EXHAUSTED with retryDelay in the body{title}",
            replies(answer(429, [body] if form else body)),
            fails(RateLimited, says=SLOWER, retry_after=hint(34.0)),
            OPENAI,
        )
        for body in (
            gemini(
                429,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted.",
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
            ),
        )
        for form, title in (("", ""), (".list", ", in a list"))
    ),
    Fault(
        "F24",
        "429 for a quota per day",
        replies(
            answer(
                429,
                gemini(
                    429,
                    "RESOURCE_EXHAUSTED",
                    "You exceeded your current quota.",
                    {
                        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
                    },
                ),
            )
        ),
        QUOTA,
        OPENAI,
    ),
)
