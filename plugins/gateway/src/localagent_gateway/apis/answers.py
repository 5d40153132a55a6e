"""Common parts of the answers of all APIs: headers about the call, streams, arguments of tool calls.

A client that sends ``x-localagent-details: 1`` gets details in headers. The writer of an API formats the core's stream.
The arguments of a tool call are JSON text in the OpenAI schema; other APIs send them as an object.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError, PublicFact, Receipt, Response
from localagent.errors import InternalError
from localagent.plugin_api import HttpRequest
from localagent_gateway.logs.defects import defect

OURS = "x-localagent-"
OWN = frozenset({"attempts", "cache", "details", "model", "target"})
"""Names of the gateway's own headers that start with ``OURS``; facts of plugins cannot replace them."""
FACT_NAME = re.compile("[a-z][a-z0-9_-]{0,63}")
NO_ARGUMENTS = msgspec.Raw(b"{}")


def wants_details(request: HttpRequest) -> bool:
    """Return whether a request asks for details."""
    return request.headers.get("x-localagent-details", "0") != "0"


def answer_headers(answer: Response | AnswerStream) -> dict[str, str]:
    """Return the headers that describe an answer: its model, the work of caches, and the public facts of plugins.

    ``Cache-Status`` (RFC 9211) is sent if there is a cache, or if the call shared the work of an identical one. Whether
    the answer will be stored is not known yet when its head is sent. A cached answer has an ``Age`` (RFC 9111, section
    5.1).
    """
    headers = {f"{OURS}model": answer.model}
    for name, fact in answer.facts.items():
        if isinstance(fact, PublicFact) and FACT_NAME.fullmatch(name) and name not in OWN:
            headers[f"{OURS}{name.replace('_', '-')}"] = fact
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
    """Return the headers with the details of a call.

    Args:
        receipt: The call's receipt.
        model: The model that answered, as ``provider/name``.
        cached: The cache plugin that answered; empty if a model did.

    Returns:
        ``x-localagent-cache``, ``-attempts`` and ``-target``, and ``Server-Timing``: the milliseconds of each step, of
        each attempt without the steps inside it, of waiting, and of the core's own work
        (https://www.w3.org/TR/server-timing/). All of them together are ``total``.
    """
    timing = [timed(span.name, span.microseconds, span.plugin) for span in receipt.timeline if span.name != "core"]
    own = sum(span.microseconds for span in receipt.timeline if span.name == "core")
    return {
        "x-localagent-cache": f"hit; {cached}" if cached else "miss",
        "x-localagent-attempts": str(len(receipt.attempts)),
        "x-localagent-target": model,
        "server-timing": ", ".join([*timing, timed("core", own), timed("total", receipt.milliseconds * 1000)]),
    }


def timed(name: str, microseconds: float, description: str = "") -> str:
    """Return an entry of ``Server-Timing``."""
    return f"{name};{f'desc={description};' if description else ''}dur={microseconds / 1000:.3f}"


class StreamWriter(Protocol):
    """Writes one stream in the API of its client; sans-I/O."""

    content_type: str

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the bytes of these chunks; b"" if they have no content for this client."""

    def end(self, stream: AnswerStream) -> bytes:
        """Return the last bytes of a stream that is complete; usage and finish reason are known."""

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the last bytes of a stream that broke off: the error, in the form that clients of the API expect."""


class AnswerBody:
    """The body of a streamed answer.

    Args:
        stream: The core's stream, whose first content has arrived.
        writer: The writer of the API.

    Attributes:
        ended: Whether all bytes were returned.
        failure: The error that ended the stream; None if it is complete.
    """

    failure: LocalAgentError | None = None

    def __init__(self, stream: AnswerStream, writer: StreamWriter) -> None:
        self._stream = stream
        self._writer = writer
        self.ended = False

    async def read_chunk(self) -> bytes:
        """Return the next bytes; the end comes with the last chunks, and b"" after it."""
        stream, writer = self._stream, self._writer
        try:
            while not self.ended:
                chunks = await stream.batch()
                data = writer.chunks(chunks) if chunks else b""
                if not chunks or stream.over:
                    self.ended = True
                    return data + writer.end(stream)
                if data:
                    return data
            return b""
        except LocalAgentError as error:
            failure = error
        except Exception as error:  # a server's events may have contents that the writer does not expect
            defect(error, stream.request_id)
            failure = InternalError(f"The stream cannot be written in this API: {type(error).__name__}.")
        self.ended = True
        self.failure = failure
        await stream.aclose()
        return writer.fail(failure)

    async def aclose(self) -> None:
        """Close the stream."""
        self.ended = True
        await self._stream.aclose()


def object_of(arguments: str) -> msgspec.Raw | None:
    """Return arguments as a JSON object in one line, with unchanged numbers; None if they are not an object.

    Args:
        arguments: JSON text. Empty text, null and an empty list, which some servers send, mean no arguments.
    """
    try:
        flat = msgspec.json.format(arguments.encode(), indent=-1) if arguments.strip() else b"null"
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if flat in (b"null", b"[]"):
        return NO_ARGUMENTS
    return msgspec.Raw(flat) if flat.startswith(b"{") else None
