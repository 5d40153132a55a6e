"""Converts between streamed and whole answers in the OpenAI schema.

``join_events`` makes one document from a stream's events, ``split_document`` makes events from a document. Joining the
events of a split document gives the same document again.

How the fields of several events are joined:

==============================  ===================================================================================
field                           result
==============================  ===================================================================================
``id``, ``created``, ``model``  the first that is neither null nor empty
other fields of an event        the last that is not null; also ``usage``, which many servers send cumulatively
``choices``                     by ``index``, in its order; without one: by its place in the event
``delta``                       strings are concatenated, lists extended, objects joined by the same rule, of other
                                values the last one counts; ``id``, ``role`` and ``type`` are not repeated
``delta.tool_calls``            by ``index``, in its order; see ``tool_calls``
other fields of a choice        ``text`` is concatenated, lists are extended, objects joined (``logprobs``); of other
                                values the last one counts (``finish_reason``)
==============================  ===================================================================================

Null never replaces a value, and no field is dropped because it is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from localagent.errors import ResponseTooLarge, UpstreamProtocol
from localagent.schema.merging import finished, fold, of_choice, of_delta, of_head
from localagent.schema.tool_calls import ToolCalls

MOST_REPEATED = 8 * 1024 * 1024
"""Bytes that the events of a document may repeat in total: each contains id and model."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def join_events(events: Iterable[bytes]) -> dict[str, Any]:
    """Return the whole answer that a stream's events make.

    Every choice has an ``index`` and a ``finish_reason`` (null when none was sent); every message has a ``role`` and
    ``content`` (null when none was sent).

    Args:
        events: The data of every event in order, without the terminator: a ``chat.completion.chunk`` or a piece of a
            text completion as JSON. Bytes that are not UTF-8 become U+FFFD.

    Raises:
        UpstreamProtocol: An event is not JSON, does not have the shape of an answer, or is nested too deeply.
    """
    head: dict[str, Any] = {}
    choices: defaultdict[int, _Choice] = defaultdict(_Choice)
    try:
        for data in events:
            event = _object(_decoded(data))
            for position, choice in enumerate(_objects(event.pop("choices", None))):
                choices[_index(choice, position)].add(choice)
            fold(head, event, of_head)
        chat = _is_chat(head.get("object"), any("text" in choice.fields for choice in choices.values()))
        documents = [choices[index].document(index, chat) for index in sorted(choices)]
        return {**finished(head), "object": "chat.completion" if chat else "text_completion", "choices": documents}
    except RecursionError:
        raise _too_deep() from None


def split_document(document: dict[str, Any]) -> list[bytes]:
    """Return the events that a server would have streamed instead of this answer.

    There is one event per choice with its contents, then one per choice with its finish reason, then one with the
    usage. The first one carries the fields that the schema does not know. Servers number tool calls only in streams, so
    the ``index`` of a whole answer's tool call is replaced by its place.

    Args:
        document: A whole answer, of a chat or a text completion; not changed.

    Returns:
        JSON of every event, at least one, without the terminator.

    Raises:
        UpstreamProtocol: The document does not have the shape of an answer.
        ResponseTooLarge: The fields that every event repeats are too large.
    """
    choices = list(enumerate(_objects(document.get("choices"))))
    chat = _is_chat(document.get("object"), any("text" in choice for _, choice in choices))
    pieces = [[_opening(choice, place, chat)] for place, choice in choices]
    pieces += [[_closing(choice, place, chat)] for place, choice in choices if choice.get("finish_reason") is not None]

    kind = "chat.completion.chunk" if chat else "text_completion"
    head = {**document, "object": kind, "choices": pieces.pop(0) if pieces else []}
    every: dict[str, Any] = {name: head[name] for name in ("id", "object", "created", "model") if name in head}
    if len(_encode(every)) * len(pieces) > MOST_REPEATED:
        raise ResponseTooLarge("The answer is too large to be streamed: its id or model is very long.", phase="read")
    events = [head] + [{**every, "choices": piece} for piece in pieces]
    if document.get("usage") is not None:
        events.append({**every, "choices": [], "usage": head.pop("usage")})
    try:
        return [_encode(event) for event in events]
    except RecursionError:
        raise _too_deep() from None


class _Choice:
    """One choice of an answer, as far as it has arrived; each of its tool calls with all its fields."""

    __slots__ = ("_calls", "_documents", "_message", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._calls = ToolCalls()
        self._documents: list[dict[str, Any]] | None = None

    def add(self, choice: dict[str, Any]) -> None:
        delta = choice.pop("delta", None)
        if delta is not None:
            if _object(delta).get("tool_calls") is not None:
                self._add_calls(_objects(delta.pop("tool_calls")))
            fold(self._message, delta, of_delta)
        fold(self.fields, choice, of_choice)

    def _add_calls(self, pieces: list[dict[str, Any]]) -> None:
        documents = self._documents = self._documents or []
        for position, piece in enumerate(pieces):
            function = piece.get("function")
            named: dict[str, Any] = function if isinstance(function, dict) else {}
            call = self._calls.find(position, piece.pop("index", None), piece.get("id"),
                                    named.get("name"), named.get("arguments"))  # fmt: skip
            if call.place == len(documents):
                documents.append({})
            fold(documents[call.place], piece, of_delta)

    def document(self, index: int, chat: bool) -> dict[str, Any]:
        choice = {**finished(self.fields), "index": index}
        # A server may send the whole message in one event, or, as some do, again in each: the deltas take precedence.
        if self._message or self._documents is not None or (chat and "message" not in choice):
            choice["message"] = self._message_document()
        if not chat:
            choice.setdefault("text", "")
        choice.setdefault("finish_reason", None)
        return choice

    def _message_document(self) -> dict[str, Any]:
        message = {"role": None, "content": None, **finished(self._message)}
        message["role"] = message["role"] or "assistant"
        if self._documents is not None:
            calls = sorted(self._calls.all, key=attrgetter("index"))
            message["tool_calls"] = [finished(self._documents[call.place]) for call in calls]
        return message


def _opening(choice: dict[str, Any], place: int, chat: bool) -> dict[str, Any]:
    opening = {**choice, "index": _index(choice, place), "finish_reason": None}
    message = opening.pop("message", None)
    if chat or message is not None:
        opening["delta"] = _delta({} if message is None else _object(message))
    if not chat:
        opening.setdefault("text", "")
    return opening


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    delta = {"role": "assistant", **message}
    if delta.get("tool_calls") is not None:
        delta["tool_calls"] = [{**call, "index": place} for place, call in enumerate(_objects(delta["tool_calls"]))]
    return delta


def _closing(choice: dict[str, Any], place: int, chat: bool) -> dict[str, Any]:
    nothing: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    return {"index": _index(choice, place), **nothing, "finish_reason": choice["finish_reason"]}


def _is_chat(kind: Any, texts: bool) -> bool:
    """Return whether an answer is a chat answer, by its ``object``, or if that is unclear, by its choices."""
    if isinstance(kind, str) and "chat" in kind:
        return True
    return kind != "text_completion" and not texts


def _index(item: dict[str, Any], position: int) -> int:
    index = item.get("index")
    return index if type(index) is int else position


def _decoded(data: bytes) -> Any:
    try:
        return _decode(data)
    except UnicodeDecodeError:
        return _decoded(data.decode(errors="replace").encode())
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UpstreamProtocol(f"An event of the stream is not valid JSON ({type(error).__name__}).") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UpstreamProtocol("The answer has another value where an object is expected.")
    return value


def _objects(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UpstreamProtocol("The answer has another value where a list is expected.")
    return [_object(item) for item in value]


def _too_deep() -> UpstreamProtocol:
    return UpstreamProtocol("The answer is nested too deeply.")
