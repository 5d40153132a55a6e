"""Streams in the OpenAI schema: a sans-I/O decoder from bytes to chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.errors import Advice, LocalAgentError, ResponseTooLarge, StreamInterrupted, UpstreamProtocol
from localagent.http_answers.answer_bodies import choices_in, protocol_error, read_body, says_failed, web_page
from localagent.http_answers.density import LARGE, refuse_dense
from localagent.http_answers.translation import inner_error
from localagent.records.responses import Chunk, Decoder, Usage
from localagent.schema.answer_documents import BAD_JSON, Choice, decode_answer, decode_full, usage_in
from localagent.schema.answer_reader import text_in
from localagent.schema.joining import split_document
from localagent.schema.streams import SSEParser

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt

MOST_CHOICES = 1024
PIECE = 64 * 1024


_NEUTRAL = msgspec.structs.replace(UpstreamProtocol.default_advice, breaker="neutral")


def events_of(decoder: Decoder, raw: bytes) -> Iterator[bytes]:
    """Yield the data of the events in a stream's bytes, decoded in small pieces so that its chunks are not all kept.

    Raises:
        LocalAgentError: An error of the decoder, or the stream did not end well.
    """
    for start in range(0, len(raw), PIECE):
        yield from [chunk.data for chunk in decoder.feed(raw[start : start + PIECE])]
        if decoder.done:
            return
    yield from [chunk.data for chunk in decoder.end()]


def chunk_of(data: bytes) -> Chunk:
    """Return the chunk of one event's data, without checking it for errors."""
    choices = decode_answer(data).choices
    return Chunk(data, _text(choices[0]) if choices and not choices[0].index else "")


def _text(choice: Choice) -> str:
    said = choice.delta or choice.message
    if said is None:
        return choice.text or ""
    content = said.content
    if content.__class__ is not str:
        content = text_in(content)
    return content or choice.text or ""


class OpenAIDecoder:
    """Decodes one streamed answer: server-sent events of chat or text completion chunks.

    A stream ends well when every choice that has begun has its finish reason; ``[DONE]`` may be missing then. A plain
    JSON answer to a stream request becomes the chunks of an equivalent stream.

    Args:
        attempt: The attempt that the answer belongs to.
        max_event: Maximum size of one event in bytes.
        max_body: Maximum size of a plain answer in bytes.
        with_usage: Whether to return the event that carries only token counts.
    """

    __slots__ = ("_attempt", "_begun", "_finished", "_max_body", "_sse", "_unsniffed", "_whole", "_with_usage", "done",
                 "finish_reason", "rest", "usage")  # fmt: skip

    def __init__(
        self,
        attempt: Attempt,
        *,
        max_event: int = 8 * 1024 * 1024,
        max_body: int = 64 * 1024 * 1024,
        with_usage: bool = False,
    ) -> None:
        self._attempt = attempt
        self._sse: SSEParser = SSEParser(max_event=max_event)
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._unsniffed = True
        self._max_body = max_body
        self._whole: bytearray | None = None
        self._with_usage = with_usage
        self.done = False
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.rest: list[Chunk] = []

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further figures: always empty, because the schema has none."""
        return {}

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the terminator has arrived.

        Raises:
            LocalAgentError: An error event, translated; or a protocol violation. ``rest`` has the earlier chunks.
        """
        if self._unsniffed and (start := data.lstrip()):
            self._sniff(start)
        if self._whole is not None:
            self._hold(self._whole, data)
            return []
        chunks: list[Chunk] = []
        try:
            payloads = self._sse.feed(data)
            if payloads and len(payloads[0]) > LARGE:
                refuse_dense(payloads[0])  # only the first can be larger than ``data``
            for payload in payloads:
                if payload == b"[DONE]":
                    self._terminate()
                    break
                chunk = self._chunk(payload)
                if chunk is not None:
                    chunks.append(chunk)
        except LocalAgentError:
            self.rest = chunks
            raise
        return chunks

    def _hold(self, whole: bytearray, data: bytes) -> None:
        if len(whole) + len(data) > self._max_body:
            self._whole = bytearray()
            raise ResponseTooLarge(f"The answer is larger than {self._max_body} bytes.", phase="read")
        whole += data

    def _sniff(self, start: bytes) -> None:
        """Detect from the first byte whether this is an event stream, a plain answer or a web page."""
        self._unsniffed = False
        if start.startswith(b"<"):
            raise web_page(self._attempt)
        if start.startswith(b"{"):
            self._whole = bytearray()

    def _chunk(self, payload: bytes) -> Chunk | None:
        usage, failed = None, False
        try:
            event = decode_answer(payload)
            choices = event.choices
            first = choices[0] if choices else None
            if first is None or first.finish_reason is not None or event.usage is not None or event.error is not None:
                usage = usage_in(decode_full(payload))
                failed = says_failed(event, payload)
            elif first.index in self._begun and len(choices or ()) == 1:  # nearly all events
                return Chunk(payload, "" if first.index else _text(first))
        except UnicodeDecodeError:
            return self._chunk(payload.decode(errors="replace").encode())
        except BAD_JSON:
            raise protocol_error(self._attempt, "An event of the stream is not valid JSON.") from None
        if failed or event.error is not None:
            raise inner_error(payload, self._attempt)
        self.usage = usage or self.usage
        if not choices or first is None:  # unchanged; token counts alone only if they were requested
            return Chunk(payload) if usage is None or self._with_usage else None
        if len(choices) > 1 or first.finish_reason is not None or first.index not in self._begun:
            self._note(choices)
        return Chunk(payload, "" if first.index else _text(first))

    def _note(self, choices: list[Choice]) -> None:
        """Record which choices begin and end."""
        for choice in choices:
            self._begun.add(choice.index or 0)
            if choice.finish_reason is not None:
                self._finished.add(choice.index or 0)
                if not choice.index:
                    self.finish_reason = choice.finish_reason
        if len(self._begun) > MOST_CHOICES:
            raise ResponseTooLarge(f"The stream has more than {MOST_CHOICES} choices.", phase="read")

    def _terminate(self) -> None:
        if not self._complete:
            raise self._cut("before its finish reason", _NEUTRAL)
        self.done = True

    @property
    def _complete(self) -> bool:
        return bool(self._begun) and self._begun == self._finished

    def _cut(self, where: str, advice: Advice = UpstreamProtocol.default_advice) -> StreamInterrupted:
        return StreamInterrupted(f"The stream ended {where}.", target=str(self._attempt.target), phase="read",
                                 advice=advice)  # fmt: skip

    def meaningful(self, chunk: Chunk) -> bool:
        """Return whether a chunk carries content: text, a tool call, reasoning, a refusal or a finish reason."""
        if chunk.text:
            return True
        for choice in decode_answer(chunk.data).choices or ():
            said = choice.delta or choice.message
            if choice.finish_reason or choice.text or (said is not None and not said.empty):
                return True
        return False

    def end(self) -> list[Chunk]:
        """Handle the end of the bytes.

        Raises:
            StreamInterrupted: A choice has no finish reason.
        """
        if self._whole is not None:
            return self._split()
        if not self._complete:
            raise self._cut("without its terminator")
        self.done = True
        return []

    def _split(self) -> list[Chunk]:
        whole, self._whole = bytes(self._whole or b""), None
        answer = read_body(whole, self._attempt, decode_answer)
        if len(choices_in(answer, self._attempt)) > MOST_CHOICES:
            raise ResponseTooLarge(f"The answer has more than {MOST_CHOICES} choices.", phase="read")
        chunks = [self._chunk(event) for event in split_document(msgspec.json.decode(whole))]
        self.done = True
        return [chunk for chunk in chunks if chunk is not None]
