"""What a client is told of its call when it asks with ``x-localagent-details: 1``."""

from __future__ import annotations

import re

from localagent import AnswerStream, PublicFact, Receipt, Response
from localagent.plugin_api import FrontRequest

OURS = "x-localagent-"
OWN = frozenset({"attempts", "cache", "details", "model", "target"})
"""What the gateway itself tells, or asks, in headers that begin with ``OURS``: no plugin says it in its place."""
FACT_NAME = re.compile("[a-z][a-z0-9_-]{0,63}")


def wants_details(request: FrontRequest) -> bool:
    """Whether a request asks for details."""
    return request.headers.get("x-localagent-details", "0") != "0"


def told_headers(answer: Response | AnswerStream) -> dict[str, str]:
    """Return the headers that tell of an answer: its model, what caches did, and what plugins make public.

    ``Cache-Status`` (RFC 9211) is told where a cache is there, or the call shared the work of an identical one. Whether
    the answer is kept is not known yet when its head is sent. A cached answer has an ``Age`` (RFC 9111, section 5.1).
    """
    headers: dict[str, str] = {
        f"{OURS}{name.replace('_', '-')}": fact
        for name, fact in answer.facts.items()
        if isinstance(fact, PublicFact) and FACT_NAME.fullmatch(name) and name not in OWN
    }
    headers[f"{OURS}model"] = answer.model
    if answer.cached:
        headers["cache-status"] = f"localagent; hit; detail={answer.cached}"
        headers["age"] = str(int(answer.age or 0.0))
    elif answer.coalesced:
        headers["cache-status"] = "localagent; fwd=miss; collapsed"
    elif answer.forwarded:
        headers["cache-status"] = f"localagent; fwd={answer.forwarded}"
    if answer.receipt is not None:
        headers.update(details(answer.receipt, answer.model, answer.cached))
    return headers


def details(receipt: Receipt, model: str, cached: str) -> dict[str, str]:
    """Return the headers that tell what became of a call.

    Args:
        receipt: The call's receipt.
        model: The model that answered, as ``provider/name``.
        cached: The cache plugin that answered; empty when a model did.

    Returns:
        ``x-localagent-cache``, ``-attempts`` and ``-target``, and ``Server-Timing``: each step and attempt with its
        milliseconds (https://www.w3.org/TR/server-timing/).
    """
    timing = [f"{step.hook};desc={step.plugin};dur={step.microseconds / 1000:.3f}" for step in receipt.steps]
    timing += [f"attempt-{one.number};dur={one.milliseconds:.1f}" for one in receipt.attempts]
    return {
        "x-localagent-cache": f"hit; {cached}" if cached else "miss",
        "x-localagent-attempts": str(len(receipt.attempts)),
        "x-localagent-target": model,
        "server-timing": ", ".join([*timing, f"total;dur={receipt.milliseconds:.1f}"]),
    }
