"""The errors for invalid answers of Ollama."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localagent.errors import EmptyResponse, UpstreamProtocol

if TYPE_CHECKING:
    from localagent import Attempt

BROKEN_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_DEFAULT = UpstreamProtocol.default_advice
_AGAIN = msgspec.structs.replace(_DEFAULT, same=True)
_FAILURE = msgspec.structs.replace(EmptyResponse.default_advice, breaker="failure")
_UNBILLED = msgspec.structs.replace(_DEFAULT, billed="no")


def only_loaded(attempt: Attempt) -> EmptyResponse:
    """Return the error for an answer that only reports that the model was loaded or unloaded."""
    return EmptyResponse("The answer contains no content.", provider=attempt.target.instance.provider,
                         target=str(attempt.target), phase="read", advice=_FAILURE)  # fmt: skip


def not_the_protocol(what: str, attempt: Attempt, *, again: bool = False) -> UpstreamProtocol:
    """Return the error for an answer that does not follow Ollama's API.

    Args:
        what: A sentence that describes the problem.
        attempt: The attempt that got the answer.
        again: Whether the same server may succeed the next time: the answer was cut short rather than wrong.
    """
    return UpstreamProtocol(what, target=str(attempt.target), phase="read", advice=_AGAIN if again else None)


def broken(raw: bytes, attempt: Attempt, *, cut: bool = False) -> UpstreamProtocol:
    """Return the error for bytes that are not the expected JSON."""
    start = raw.lstrip()
    if start.startswith(b"<"):
        return UpstreamProtocol("The server's answer is a web page.", target=str(attempt.target), phase="read",
                                advice=_UNBILLED, hint="Check the url in the settings.")  # fmt: skip
    why = "it is broken" if start else "it is empty"
    again = cut or not start.startswith(b"{")
    return not_the_protocol(f"The server's answer is not the JSON that was asked for ({why}).", attempt, again=again)
