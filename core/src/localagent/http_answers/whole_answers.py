"""Whole answers in the OpenAI schema: their bytes, and views that decode only what is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from localagent.http_answers.answer_bodies import (
    AnyBody,
    choices_in,
    decode_embeddings,
    not_json,
    protocol_error,
    read_body,
    web_page,
)
from localagent.http_answers.answer_shapes import LOOKED_AT, document_of
from localagent.http_answers.openai_stream import OpenAIDecoder, events_of
from localagent.records.responses import ChatResponse, CompletionResponse, EmbedResponse
from localagent.schema.answer_documents import Answer, decode_answer, present, usage_of
from localagent.schema.answer_reader import text_in
from localagent.schema.joining import join_events

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt

AnyView = TypeVar("AnyView", ChatResponse, CompletionResponse)

_encode = msgspec.json.Encoder().encode


def chat_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> ChatResponse:
    """Read the bytes of a complete chat answer.

    Args:
        raw: The body. Server-sent events, which some servers send without being asked, are joined.
        attempt: The attempt that the answer belongs to.
        checked: Whether ``looked_through`` has accepted the body; a small one is checked here.
        more: Further fields of the response, such as ``facts``.

    Raises:
        UpstreamProtocol: The body is not a chat answer.
        EmptyResponse: The answer has no choices.
        LocalAgentError: The body is an error with status 200, translated.
    """
    read = _read(raw, attempt, decode_answer, checked)
    message = choices_in(read[1], attempt)[0].message
    return _view(ChatResponse, attempt, read, "" if message is None else text_in(message.content), more)


def completion_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> CompletionResponse:
    """Read the bytes of a complete text completion; errors as in ``chat_response``."""
    read = _read(raw, attempt, decode_answer, checked)
    return _view(CompletionResponse, attempt, read, choices_in(read[1], attempt)[0].text or "", more)


def embed_response(raw: bytes, attempt: Attempt, *, checked: bool = False, **more: Any) -> EmbedResponse:
    """Read the bytes of embeddings; errors as in ``chat_response``."""
    raw, answer = _read(raw, attempt, decode_embeddings, checked)
    if not present(answer.data):
        raise protocol_error(attempt, "The server's answer contains no embeddings.")
    return EmbedResponse(
        raw=raw,
        usage=usage_of(_small(answer.usage)),
        model=attempt.target.name,
        instance=attempt.target.instance.id,
        request_id=attempt.call.id,
        **more,
    )


def _read(raw: bytes, attempt: Attempt, decode: Callable[[bytes], AnyBody], checked: bool) -> tuple[bytes, AnyBody]:
    if not raw.startswith(b"{"):
        raw = _object_of(raw, attempt)
    return raw, read_body(raw, attempt, decode, checked)


def _view(kind: type[AnyView], attempt: Attempt, read: tuple[bytes, Answer], text: str, more: Any) -> AnyView:
    """Return the view of an answer with choices; positional arguments, because keywords cost more here."""
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


def _object_of(raw: bytes, attempt: Attempt) -> bytes:
    """Return the JSON object of a body that does not begin with one: events are joined, white space is removed."""
    start = raw.lstrip()
    if start.startswith(b"{"):
        return start
    if start.startswith((b"data:", b"event:", b":", b"id:", b"\xef\xbb\xbf")):
        return _encode(join_events(events_of(OpenAIDecoder(attempt), raw)))
    if start.startswith(b"<"):
        raise web_page(attempt)
    raise not_json(attempt, "it does not begin with an object" if start else "it is empty", again=True)


def _small(field: msgspec.Raw) -> Any:
    """Decode a field that should be small; None when it is missing or large."""
    return document_of(bytes(field)) if 0 < memoryview(field).nbytes <= LOOKED_AT else None
