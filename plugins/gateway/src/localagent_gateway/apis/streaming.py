"""Streams to clients: a dialect writes what the core's stream brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from localagent import AnswerStream, Chunk, LocalAgentError
from localagent.errors import InternalError
from localagent_gateway.logs.defects import defect


class StreamWriter(Protocol):
    """Writes one stream in the dialect of its client; sans-I/O."""

    content_type: str

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the bytes of these chunks; b"" when they tell this client nothing."""

    def end(self, stream: AnswerStream) -> bytes:
        """Return the last bytes of a stream that ended well; usage and finish reason are known."""

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the last bytes of a stream that broke off: the error, in a form that clients of the dialect see."""


class StreamParts:
    """The body of a streamed answer.

    Args:
        stream: The core's stream, whose first content has come.
        writer: The dialect.

    Attributes:
        ended: Whether all was handed out.
        failure: The error by which the stream ended; None for a good end.
    """

    failure: LocalAgentError | None = None

    def __init__(self, stream: AnswerStream, writer: StreamWriter) -> None:
        self._stream = stream
        self._writer = writer
        self.ended = False

    async def next(self) -> bytes:
        """Return the next bytes, the end with the last chunks; b"" behind them."""
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
        except Exception as error:  # a server's events may hold what the dialect's writer does not expect
            defect(error, stream.request_id)
            failure = InternalError(f"The stream cannot be told in this dialect: {type(error).__name__}.")
        self.ended = True
        self.failure = failure
        await stream.aclose()
        return writer.fail(failure)

    async def aclose(self) -> None:
        """End the stream."""
        self.ended = True
        await self._stream.aclose()
