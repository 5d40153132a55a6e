"""Compares the outcome of a fault with the expected one; the checks yield one sentence for each difference."""

from __future__ import annotations

from collections.abc import Iterator

from localagent import LocalAgentError
from localagent.errors import StreamInterrupted
from localagent_testing.canaries import found_in, texts_of
from localagent_testing.faults.expectations import Expect, Hint, Says
from localagent_testing.faults.records import Heard

MAX_REQUEST_ID = 256


def complaints(expect: Expect, outcome: Heard | BaseException) -> Iterator[str]:
    """Yield the differences between an outcome and the expected one.

    Args:
        expect: The expected outcome.
        outcome: The result of the call, or the exception that it raised.
    """
    if isinstance(outcome, Heard):
        yield from _unexpected_success(expect, outcome)
    elif not isinstance(outcome, LocalAgentError):
        yield f"it raised {outcome!r}, which is not a LocalAgentError"
    else:
        yield from _canaries(outcome)
        yield from _wrong_error(expect, outcome)


def _unexpected_success(expect: Expect, heard: Heard) -> Iterator[str]:
    if expect.errors and not expect.may_succeed:
        yield f"it succeeded with {heard.text!r} instead of {_names(expect.errors)}"
        return
    usage = None if heard.usage is None else (heard.usage.prompt_tokens, heard.usage.completion_tokens)
    for name, got, wanted in (
        ("text", heard.text, expect.text),
        ("usage", usage, expect.usage),
        ("model", heard.model, expect.model),
        ("tool calls", heard.tool_calls, expect.tool_calls or None),
    ):
        if wanted is not None and got != wanted:
            yield f"the {name} is {got!r} instead of {wanted!r}"


def _canaries(error: LocalAgentError) -> Iterator[str]:
    seen = {canary for text in texts_of(error) for canary in found_in(text)}
    yield from (f"{canary} is in the error or in one that it is linked to" for canary in sorted(seen))


def _wrong_error(expect: Expect, error: LocalAgentError) -> Iterator[str]:
    if not expect.errors:
        yield f"it raised {type(error).__name__}: {error}"
        return
    if not isinstance(error, expect.errors):
        yield f"it raised {type(error).__name__} ({error}) instead of {_names(expect.errors)}"
        return
    yield from _wrong_cause(expect, error)
    yield from _wrong_facts(expect, error)
    yield from _wrong_advice(expect.says, error)
    yield from _wrong_hint(expect.retry_after, error.retry_after)
    yield from _wrong_text(expect, error)


def _wrong_cause(expect: Expect, error: LocalAgentError) -> Iterator[str]:
    if not isinstance(error, StreamInterrupted):
        return
    if expect.partial is not None and error.partial != expect.partial:
        yield f"the partial text is {error.partial!r} instead of {expect.partial!r}"
    if expect.causes and not isinstance(error.cause, expect.causes):
        yield f"the cause is {error.cause!r} instead of {_names(expect.causes)}"


def _wrong_facts(expect: Expect, error: LocalAgentError) -> Iterator[str]:
    cause = error.cause if isinstance(error, StreamInterrupted) and expect.causes else error
    phase = None if cause is None else cause.phase
    if expect.phase is not None and phase != expect.phase:
        yield f"the phase is {phase!r} instead of {expect.phase!r}"
    if expect.code is not None and error.code != expect.code:
        yield f"the code is {error.code!r} instead of {expect.code!r}"


def _wrong_advice(says: Says, error: LocalAgentError) -> Iterator[str]:
    for name in ("same", "next", "billed", "breaker"):
        wanted, got = getattr(says, name), getattr(error.advice, name)
        if wanted is not None and got != wanted:
            yield f"the advice {name} is {got!r} instead of {wanted!r}"


def _wrong_hint(hint: Hint | None, got: float | None) -> Iterator[str]:
    if hint is None or (got is None and hint.absent) or (got is not None and hint.low <= got <= hint.high):
        return
    wanted = "None" if hint.low > hint.high else f"{hint.low:g} to {hint.high:g}{' or None' if hint.absent else ''}"
    yield f"retry_after is {got!r} instead of {wanted}"


def _wrong_text(expect: Expect, error: LocalAgentError) -> Iterator[str]:
    text = str(error)
    yield from (f"the error does not show {part!r}: {text}" for part in expect.shown if part not in text)
    yield from (f"the error shows {part!r}: {text}" for part in expect.hidden if part in f"{text} {error!r}")
    if not text.isprintable():
        yield f"the error contains control characters: {text!r}"
    request_id = error.upstream_request_id or ""
    if not request_id.isprintable() or len(request_id) > MAX_REQUEST_ID:
        yield f"the upstream's request id was taken over unchecked: {request_id[:40]!r}"


def _names(types: tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in types)
