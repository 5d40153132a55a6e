"""Converts complete answers of Ollama to the OpenAI schema."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent import ChatResponse, CompletionResponse, EmbedResponse
from localagent.http_answers import chat_response as read_chat
from localagent.http_answers import completion_response as read_completion
from localagent.http_answers import events_of, inner_error, refuse_dense
from localagent.schema import join_events
from localagent_provider_ollama.decoder import LOADED, OllamaDecoder
from localagent_provider_ollama.documents import (
    Choice,
    Document,
    Message,
    call,
    encode,
    finish_reason,
    logprobs,
    timings,
    tokens,
    usage,
)
from localagent_provider_ollama.failures import BROKEN_JSON, broken, not_the_protocol, only_loaded
from localagent_provider_ollama.native import NOTHING, NULL, Answer, Embeddings

if TYPE_CHECKING:
    from localagent import Attempt

# Ollama's token array of the conversation, its timestamp and the sum of its times add no information.
KNOWN = frozenset(Answer.__struct_encode_fields__) | {"context", "created_at", "total_duration"}
_decode = msgspec.json.Decoder(Answer).decode
_decode_embeddings = msgspec.json.Decoder(Embeddings).decode


def chat_response(raw: bytes, attempt: Attempt, *, checked: bool = False) -> ChatResponse:
    """Read the body of a complete chat answer; the lines of a stream, which some servers send unasked, are joined.

    Args:
        raw: The body.
        attempt: The attempt that it answers.
        checked: Whether ``looked_through`` has already checked the body; a small one is checked here.

    Raises:
        UpstreamProtocol: The body is not an answer to a chat.
        EmptyResponse: The body only reports that the model was loaded.
        LocalAgentError: The body of a 200 contains an error, which is translated.
    """
    answer = _answer(raw, attempt, checked=checked)
    if answer is None:
        joined, facts = _joined(raw, attempt, chat=True)
        return read_chat(joined, attempt, facts=facts)
    message = answer.message
    if message is None:
        raise not_the_protocol("The server's answer contains no message.", attempt)
    calls = [call(native, attempt.call.id, number) for number, native in enumerate(message.tool_calls or ())]
    if not (message.content or calls):
        _refuse_loaded(answer, attempt)
    content = message.content if message.content or not calls else None
    said = Message("assistant", content, message.thinking or None, calls or None)
    choice = Choice(0, finish_reason(answer, called=bool(calls)), message=said, logprobs=logprobs(answer))
    fields = _fields(raw, answer, choice, attempt, chat=True)
    return ChatResponse(text=message.content or "", **fields)


def completion_response(raw: bytes, attempt: Attempt, *, checked: bool = False) -> CompletionResponse:
    """Read the body of a complete text completion; errors as in ``chat_response``."""
    answer = _answer(raw, attempt, checked=checked)
    if answer is None:
        joined, facts = _joined(raw, attempt, chat=False)
        return read_completion(joined, attempt, facts=facts)
    if answer.response is None:
        raise not_the_protocol("The server's answer contains no text.", attempt)
    if not answer.response and attempt.request.get("prompt") != "":  # an empty prompt only loads the model
        _refuse_loaded(answer, attempt)
    choice = Choice(0, finish_reason(answer, called=False), text=answer.response)
    fields = _fields(raw, answer, choice, attempt, chat=False)
    return CompletionResponse(text=answer.response, **fields)


def embed_response(raw: bytes, attempt: Attempt, *, asked: int, checked: bool = False) -> EmbedResponse:
    """Read the body of embeddings.

    Args:
        raw: The body.
        attempt: The attempt that it answers; its request names the encoding of the vectors.
        asked: The number of inputs that were sent.
        checked: Whether ``looked_through`` has already checked the body; a small one is checked here.

    Raises:
        UpstreamProtocol: The body contains no embeddings, or not one for each input.
        LocalAgentError: The body of a 200 contains an error, which is translated.
    """
    if not checked:
        refuse_dense(raw, numbers=True)
    try:
        answer = _decode_embeddings(raw)
    except BROKEN_JSON as error:
        raise broken(raw, attempt, cut="truncated" in str(error)) from None
    if answer.error not in (NOTHING, NULL):
        raise inner_error(raw, attempt)
    vectors = answer.embeddings or []
    if len(vectors) != asked:
        raise not_the_protocol(f"The server sent {len(vectors)} embeddings for {asked} inputs.", attempt)
    if attempt.request.get("encoding_format") == "base64":
        vectors = [_in_base64(vector, attempt) for vector in vectors]
    cost = usage(answer)
    document = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": v} for index, v in enumerate(vectors)],
        "model": answer.model or attempt.target.model,
        "usage": {"prompt_tokens": cost.prompt_tokens, "total_tokens": cost.total_tokens} if cost else None,
    }
    return EmbedResponse(raw=encode(document), usage=cost, facts=timings(answer), **_origin(attempt))


def _answer(raw: bytes, attempt: Attempt, *, checked: bool) -> Answer | None:
    """Return the answer in a body; None when it is a stream."""
    if not checked:
        refuse_dense(raw)
    try:
        answer = _decode(raw)
    except BROKEN_JSON as error:
        if b"}\n" in raw.strip():
            return None
        raise broken(raw, attempt, cut="truncated" in str(error)) from None
    if answer.error is not None:
        raise inner_error(raw, attempt)
    if answer.done is False:
        raise not_the_protocol("The server's answer is incomplete.", attempt, again=True)
    return answer


def _joined(raw: bytes, attempt: Attempt, *, chat: bool) -> tuple[bytes, dict[str, Any]]:
    """Return the complete answer of a stream, in the OpenAI schema, and where the time went."""
    decoder = OllamaDecoder(attempt, max_line=len(raw), with_usage=True, chat=chat)
    return encode(join_events(events_of(decoder, raw))), dict(decoder.facts)


def _refuse_loaded(answer: Answer, attempt: Attempt) -> None:
    if answer.done_reason in LOADED:
        raise only_loaded(attempt)


def _unknown(raw: bytes, attempt: Attempt) -> dict[str, Any]:
    """Return the fields of an answer that have no counterpart in the OpenAI schema; they keep their names."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(raw)
    except BROKEN_JSON:
        raise broken(raw, attempt, cut=False) from None
    return {name: value for name, value in fields.items() if name not in KNOWN}


def _fields(raw: bytes, answer: Answer, choice: Choice, attempt: Attempt, *, chat: bool) -> dict[str, Any]:
    """Return the fields that every complete answer has."""
    cost, spent = usage(answer), timings(answer)
    model = answer.model or attempt.target.model
    ident, kind = ("chatcmpl-", "chat.completion") if chat else ("cmpl-", "text_completion")
    document = Document(
        ident + attempt.call.id, kind, int(attempt.call.wall_time()), model, [choice], tokens(cost), spent or None
    )
    unknown = _unknown(raw, attempt)
    return {
        "raw": encode({**unknown, **msgspec.to_builtins(document)} if unknown else document),
        "finish_reasons": (choice.finish_reason,),
        "usage": cost,
        "facts": spent,
        **_origin(attempt),
    }


def _origin(attempt: Attempt) -> dict[str, Any]:
    target = attempt.target
    return {"model": target.name, "instance": target.instance.id, "request_id": attempt.call.id}


def _in_base64(vector: msgspec.Raw, attempt: Attempt) -> Any:
    """Return a vector in OpenAI's encoding: base64 of little-endian 32-bit floats."""
    try:
        numbers: Sequence[float] = msgspec.json.decode(vector, type=list[float])
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    except (msgspec.MsgspecError, OverflowError):
        raise not_the_protocol(
            "The server's answer contains an embedding that is not a list of numbers.", attempt
        ) from None
