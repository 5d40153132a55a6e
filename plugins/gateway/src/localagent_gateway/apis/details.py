"""What a client is told of its call when it asks with ``x-localagent-details: 1``."""

from __future__ import annotations

from localagent import FrontRequest, Receipt


def wants_details(request: FrontRequest) -> bool:
    """Whether a request asks for details."""
    return request.headers.get("x-localagent-details", "0") != "0"


def cache_headers(cached: str, age: float | None, coalesced: bool) -> dict[str, str]:
    """Return the headers that tell that no model was asked for an answer.

    Args:
        cached: The cache plugin that answered; empty when a model did.
        age: Seconds since a cached answer was made.
        coalesced: Whether the call shared the work of an identical one.

    Returns:
        ``Cache-Status`` (RFC 9211) and, for a cached answer, ``Age`` (RFC 9111, section 5.1); nothing for an answer
        that was made for this call.
    """
    if cached:
        return {"cache-status": f"localagent; hit; detail={cached}", "age": str(int(age or 0.0))}
    return {"cache-status": "localagent; fwd=miss; collapsed"} if coalesced else {}


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
