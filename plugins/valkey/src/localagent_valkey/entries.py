"""Entries as bytes: what the server sent, what was read out of it, and the whole key. No pickle."""

from __future__ import annotations

from typing import Any

import msgspec

from localagent import CacheEntry, CacheKey, ChatResponse, CompletionResponse, EmbedResponse, Usage

Answer = ChatResponse | CompletionResponse | EmbedResponse
KINDS: dict[str, type[Answer]] = {"chat": ChatResponse, "complete": CompletionResponse, "embed": EmbedResponse}
NAMES = {kind: name for name, kind in KINDS.items()}


class NoEntryError(Exception):
    """The bytes are not what was written."""


class _Record(msgspec.Struct, array_like=True):
    """An entry in the order in which it is written; new fields go to the end."""

    digest: bytes
    check: bytes
    size: int
    key_model: str
    tenant: str
    stored: float
    events: tuple[bytes, ...] | None
    kind: str
    raw: bytes
    model: str
    instance: str
    usage: Usage | None
    facts: dict[str, Any]
    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()
    streamed: tuple[bytes, ...] | None = None
    streamed_events: bool = False  # the response was streamed as these same events, which are not written twice


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def encoded(entry: CacheEntry) -> bytes | None:
    """Return an entry as bytes; None when it holds what cannot be written, such as facts that a provider made up."""
    key, response = entry.key, entry.response
    streamed = getattr(response, "streamed", None)
    same = streamed is not None and streamed == entry.events
    record = _Record(
        key.digest, key.check, key.size, key.model, key.tenant, entry.stored, entry.events,
        NAMES[type(response)], response.raw, response.model, response.instance, response.usage, response.facts,
        getattr(response, "text", ""), getattr(response, "finish_reasons", ()),
        None if same else streamed, same,
    )  # fmt: skip
    try:
        return _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def decoded(data: bytes) -> CacheEntry:
    """Return the entry that was made bytes.

    Raises:
        NoEntryError: They are not what was written.
    """
    try:
        record = _decode(data)
        kind = KINDS[record.kind]
    except (msgspec.MsgspecError, KeyError):
        raise NoEntryError("no record") from None
    key = CacheKey(record.digest, record.check, record.size, record.key_model, record.tenant)
    return CacheEntry(key, kind(**_fields(record, kind)), record.events, record.stored)


def _fields(record: _Record, kind: type[Answer]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "raw": record.raw, "model": record.model, "instance": record.instance, "usage": record.usage,
        "facts": record.facts,
    }  # fmt: skip
    if kind is not EmbedResponse:
        fields |= {"text": record.text, "finish_reasons": record.finish_reasons}
    if kind is ChatResponse:
        fields["streamed"] = record.events if record.streamed_events else record.streamed
    return fields
