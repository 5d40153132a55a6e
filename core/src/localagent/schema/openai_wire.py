"""The OpenAI schema on the wire: the common tongue of LocalAgent, read with one typed decode an answer or event.

Pure functions and a sans-I/O decoder. Unknown fields stay in the bytes; only what the pipeline needs is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from localagent.errors import (
    Advice,
    EmptyResponse,
    LocalAgentError,
    ResponseTooLarge,
    StreamInterrupted,
    UpstreamProtocol,
)
from localagent.http_answers.answer_shapes import LOOKED_AT, document_of
from localagent.http_answers.density import LARGE, refuse_dense
from localagent.http_answers.translation import inner_error
from localagent.records.responses import ChatResponse, Chunk, CompletionResponse, Decoder, EmbedResponse, Usage
from localagent.schema.joining import join_events, split_document
from localagent.schema.streams import SSEParser

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt


# A Raw field cannot be optional: msgspec refuses everything but null for ``Raw | None``.
_ABSENT = msgspec.Raw(b"")
_NULL = msgspec.Raw(b"null")


class _Content(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None
    tool_calls: msgspec.Raw = _ABSENT
    function_call: msgspec.Raw = _ABSENT
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None
    message: _Content | None = None
    delta: _Content | None = None
    text: str | None = None


class _Answer(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


class _Embeddings(msgspec.Struct, gc=False):
    """Vectors are long, so nothing of such an answer is decoded before one knows how much it is."""

    data: msgspec.Raw = _ABSENT
    usage: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


MOST_CHOICES = 1024
PIECE = 64 * 1024

AnyView = TypeVar("AnyView", ChatResponse, CompletionResponse)

_decode = msgspec.json.Decoder(_Answer).decode
_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode
_encode = msgspec.json.Encoder().encode
_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOTHING = _Content()
_AGAIN = msgspec.structs.replace(UpstreamProtocol.default_advice, same=True)
_NEUTRAL = msgspec.structs.replace(UpstreamProtocol.default_advice, breaker="neutral")
_UNBILLED = msgspec.structs.replace(UpstreamProtocol.default_advice, billed="no")


def _present(field: msgspec.Raw) -> bool:
    return memoryview(field).nbytes > 4 or bytes(field) not in (b"", b"null", b"[]")


def _small(field: msgspec.Raw) -> Any:
    """Return what a field holds that should be small; None when it is missing, or is not."""
    return document_of(bytes(field)) if 0 < memoryview(field).nbytes <= LOOKED_AT else None


def usage_of(reported: Any) -> Usage | None:
    """Return token counts as a server reported them; None when it reported none that can be read."""
    if not isinstance(reported, dict):
        return None
    get = reported.get
    prompt, completion = _count(get("prompt_tokens")), _count(get("completion_tokens"))
    return Usage(
        prompt,
        completion,
        _count(get("total_tokens")) or prompt + completion,
        _detail(get("prompt_tokens_details"), "cached_tokens"),
        _detail(get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(value: Any) -> int:
    if type(value) is int:
        return max(value, 0)
    return int(value) if isinstance(value, float) and 0 <= value < 1e15 else 0


def _detail(details: Any, name: str) -> int:
    return _count(details.get(name)) if isinstance(details, dict) else 0


def chat_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> ChatResponse:
    """Read the bytes of a complete chat answer.

    Args:
        raw: The body. Server-sent events, which some servers send unasked, are joined.
        attempt: Whose answer it is.
        checked: Whether ``looked_through`` has said that the body is in order; a small one is checked here.
        more: Further fields of the response, such as ``facts``.

    Raises:
        UpstreamProtocol: It is no chat answer.
        EmptyResponse: It is one without any choice.
        LocalAgentError: It is an error in the body of a 200, translated.
    """
    read = _read(raw, attempt, checked=checked)
    choices = _choices(read[1], attempt)
    message = choices[0].message or _NOTHING
    text = message.content if isinstance(message.content, str) else ""
    return _view(ChatResponse, attempt, read, text, more)


def completion_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> CompletionResponse:
    """Read the bytes of a complete text completion; errors as in ``chat_response``."""
    read = _read(raw, attempt, checked=checked)
    choices = _choices(read[1], attempt)
    return _view(CompletionResponse, attempt, read, choices[0].text or "", more)


def embed_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> EmbedResponse:
    """Read the bytes of embeddings; errors as in ``chat_response``."""
    raw, answer = _read(raw, attempt, _decode_embeddings, checked=checked)
    if not _present(answer.data):
        raise _protocol_error(attempt, "The server's answer holds no embeddings.")
    return EmbedResponse(
        raw=raw,
        usage=usage_of(_small(answer.usage)),
        model=attempt.target.name,
        instance=attempt.target.instance.id,
        request_id=attempt.call.id,
        **more,
    )


def _view(kind: type[AnyView], attempt: Attempt, read: tuple[bytes, _Answer], text: str, more: Any) -> AnyView:
    """Return the view of an answer that holds choices; arguments by place, because names cost more here."""
    raw, answer = read
    return kind(
        raw=raw,
        text=text,
        finish_reasons=tuple([choice.finish_reason for choice in answer.choices or ()]),
        usage=usage_of(answer.usage),
        model=attempt.target.name,
        instance=attempt.target.instance.id,
        request_id=attempt.call.id,
        **more,
    )


def joined_response(events: Sequence[bytes], attempt: Attempt) -> ChatResponse:
    """Return the whole answer of a stream that ended well, given the data of its events."""
    return chat_response(_encode(join_events(events)), attempt, streamed=tuple(events))


def events_of(decoder: Decoder, raw: bytes) -> Iterator[bytes]:
    """Yield the data of the events of a stream's bytes, read bit by bit so that no chunk of it has to be held.

    Raises:
        LocalAgentError: The decoder's, or the stream did not end well.
    """
    for start in range(0, len(raw), PIECE):
        yield from [chunk.data for chunk in decoder.feed(raw[start : start + PIECE])]
        if decoder.done:
            return
    yield from [chunk.data for chunk in decoder.end()]


def chunk_of(data: bytes) -> Chunk:
    """Return the chunk of one event's data, without looking for errors in it."""
    choices = _decode(data).choices
    return Chunk(data, _text(choices[0]) if choices and choices[0].index == 0 else "")


def _read(
    raw: bytes, attempt: Attempt, decode: Callable[[bytes], Any] = _decode, *, checked: bool = False
) -> tuple[bytes, Any]:
    """Return the JSON object of a body, and what it says.

    Raises:
        LocalAgentError: It is none, or an error.
    """
    if not checked and len(raw) > LARGE:
        refuse_dense(raw, numbers=decode is _decode_embeddings)
    if not raw.startswith(b"{"):
        raw = _unwrapped(raw, attempt)
    try:
        if not (checked or raw.isascii()):
            raw.decode()  # what msgspec skips it does not check
        answer = decode(raw)
    except msgspec.DecodeError as error:
        raise _not_json(attempt, "it is broken", again="truncated" in str(error)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise _not_json(attempt, type(error).__name__) from None
    if answer.error is not None and answer.error not in (_ABSENT, _NULL):
        raise inner_error(raw, attempt)
    return raw, answer


def _unwrapped(raw: bytes, attempt: Attempt) -> bytes:
    """Return the JSON object of a body that does not begin with one: events are joined, white space is cut."""
    start = raw.lstrip()
    if start.startswith(b"{"):
        return start
    if start.startswith((b"data:", b"event:", b":", b"id:", b"\xef\xbb\xbf")):
        return _encode(join_events(events_of(OpenAIDecoder(attempt), raw)))
    if start.startswith(b"<"):
        raise _web_page(attempt)
    raise _not_json(attempt, "it begins with no object" if start else "it is empty", again=True)


def _not_json(attempt: Attempt, why: str, *, again: bool = False) -> UpstreamProtocol:
    message = f"The server's answer is not the JSON that was asked for ({why})."
    return _protocol_error(attempt, message, advice=_AGAIN if again else None)


def _web_page(attempt: Attempt) -> UpstreamProtocol:
    mend = "Check the url in the settings."
    return _protocol_error(attempt, "The server's answer is a web page.", advice=_UNBILLED, mend=mend)


def _protocol_error(attempt: Attempt, message: str, **more: Any) -> UpstreamProtocol:
    return UpstreamProtocol(message, phase="read", target=str(attempt.target), **more)


def _choices(answer: _Answer, attempt: Attempt) -> list[_Choice]:
    if answer.choices is None:
        raise _protocol_error(attempt, "The server's answer holds no choices.")
    if not answer.choices:
        raise EmptyResponse("The server answered without a choice.", target=str(attempt.target))
    return answer.choices


def _text(choice: _Choice) -> str:
    delta = choice.delta
    if delta is not None and isinstance(delta.content, str):
        return delta.content
    return choice.text or ""


class OpenAIDecoder:
    """Decodes one streamed answer: server-sent events of chat or text completion chunks.

    A stream ends well when every choice that began has its finish reason; ``[DONE]`` may be missing then. A plain
    JSON answer to a stream request becomes the chunks of an equal stream.

    Args:
        attempt: Whose answer it is.
        max_event: Bytes that one event may have.
        max_body: Bytes that a plain answer may have.
        with_usage: Hand on the event that carries nothing but token counts.
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
        """Further figures: the schema has none."""
        return {}

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the terminator came.

        Raises:
            LocalAgentError: An error event, translated; or what is not the protocol. ``rest`` has the chunks before.
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
                refuse_dense(payloads[0])  # only the first can be larger than what came at once
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
        """Tell from the first byte whether this is an event stream, a plain answer or a web page."""
        self._unsniffed = False
        if start.startswith(b"<"):
            raise _web_page(self._attempt)
        if start.startswith(b"{"):
            self._whole = bytearray()

    def _chunk(self, payload: bytes) -> Chunk | None:
        try:
            event = _decode(payload)
        except UnicodeDecodeError:
            return self._chunk(payload.decode(errors="replace").encode())
        except _BAD:
            raise _protocol_error(self._attempt, "An event of the stream is no valid JSON.") from None
        if event.error is not None:
            raise inner_error(payload, self._attempt)
        if event.usage is not None:
            self.usage = usage_of(event.usage) or self.usage
        choices = event.choices
        if not choices:
            return Chunk(payload) if self._with_usage and event.usage is not None else None
        first = choices[0]
        if len(choices) > 1 or first.finish_reason is not None or first.index not in self._begun:
            self._note(choices)
        return Chunk(payload, _text(first) if first.index == 0 else "")

    def _note(self, choices: list[_Choice]) -> None:
        """Take note of which choices begin and end."""
        for choice in choices:
            self._begun.add(choice.index)
            if choice.finish_reason is not None:
                self._finished.add(choice.index)
                if choice.index == 0:
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
        """Say whether a chunk carries content: text, a tool call, reasoning, a refusal or a finish reason."""
        if chunk.text:
            return True
        for choice in _decode(chunk.data).choices or ():
            delta = choice.delta or _NOTHING
            if choice.finish_reason or choice.text or _present(delta.tool_calls) or _present(delta.function_call):
                return True
            if delta.content or delta.reasoning_content or delta.reasoning or delta.refusal:
                return True
        return False

    def end(self) -> list[Chunk]:
        """Take note that the bytes have ended.

        Raises:
            StreamInterrupted: Some choice had no finish reason.
        """
        if self._whole is not None:
            return self._split()
        if not self._complete:
            raise self._cut("without its terminator")
        self.done = True
        return []

    def _split(self) -> list[Chunk]:
        whole, self._whole = bytes(self._whole or b""), None
        raw, answer = _read(whole, self._attempt)
        if len(_choices(answer, self._attempt)) > MOST_CHOICES:
            raise ResponseTooLarge(f"The answer has more than {MOST_CHOICES} choices.", phase="read")
        chunks = [self._chunk(event) for event in split_document(msgspec.json.decode(raw))]
        self.done = True
        return [chunk for chunk in chunks if chunk is not None]
