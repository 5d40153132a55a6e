"""How an answer of Ollama's can fail to be one."""

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
    """Return the error for an answer that says no more than that the model was loaded, or put out of memory."""
    return EmptyResponse("The answer holds no content.", provider=attempt.target.instance.provider,
                         target=str(attempt.target), phase="read", advice=_FAILURE)  # fmt: skip


def not_the_protocol(what: str, attempt: Attempt, *, again: bool = False) -> UpstreamProtocol:
    """Return the error for what is not Ollama's API.

    Args:
        what: A sentence about it.
        attempt: Whose answer it is.
        again: Whether the same server may do better the next time: the answer was cut rather than wrong.
    """
    return UpstreamProtocol(what, target=str(attempt.target), phase="read", advice=_AGAIN if again else None)


def broken(raw: bytes, attempt: Attempt, *, cut: bool = False) -> UpstreamProtocol:
    """Return the error for bytes that are not the JSON that was asked for."""
    start = raw.lstrip()
    if start.startswith(b"<"):
        return UpstreamProtocol("The server's answer is a web page.", target=str(attempt.target), phase="read",
                                advice=_UNBILLED, hint="Check the url in the settings.")  # fmt: skip
    why = "it is broken" if start else "it is empty"
    again = cut or not start.startswith(b"{")
    return not_the_protocol(f"The server's answer is not the JSON that was asked for ({why}).", attempt, again=again)
