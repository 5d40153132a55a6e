"""Entries as bytes: the server's own bytes, what was read out of them, and a checksum; no pickle."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from localagent import CacheEntry, CacheKey, ChatResponse, CompletionResponse, EmbedResponse, Usage

Answer = ChatResponse | CompletionResponse | EmbedResponse
KINDS: dict[str, type[Answer]] = {"chat": ChatResponse, "complete": CompletionResponse, "embed": EmbedResponse}
NAMES = {kind: name for name, kind in KINDS.items()}
CHECK = 4  # bytes of the checksum in front; SQLite itself does not notice when a disk gives other bytes back


class _Record(msgspec.Struct, array_like=True):
    """What is kept of an entry, in the order in which it is written; new fields go to the end."""

    kind: str
    raw: bytes
    model: str
    instance: str
    usage: Usage | None
    facts: dict[str, Any]
    stored: float
    events: tuple[bytes, ...] | None
    streamed: bool | tuple[bytes, ...] | None  # True: the same as the events
    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def encoded(entry: CacheEntry) -> bytes | None:
    """Return an entry without its key as bytes; None when it holds what cannot be written."""
    response = entry.response
    streamed = getattr(response, "streamed", None)
    record = _Record(
        NAMES[type(response)], response.raw, response.model, response.instance, response.usage, response.facts,
        entry.stored, entry.events, True if streamed and streamed == entry.events else streamed,
        getattr(response, "text", ""), getattr(response, "finish_reasons", ()),
    )  # fmt: skip
    try:
        data = _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):  # facts that a provider made up
        return None
    return zlib.crc32(data).to_bytes(CHECK) + data


def decoded(key: CacheKey, data: bytes) -> CacheEntry | None:
    """Return the entry that was made bytes; None when they are not what was written.

    Args:
        key: Its key.
        data: The bytes.
    """
    record_data = memoryview(data)[CHECK:]
    if zlib.crc32(record_data) != int.from_bytes(data[:CHECK]):
        return None
    try:
        record = _decode(record_data)
    except msgspec.MsgspecError:
        return None
    return CacheEntry(key, _response(record), record.events, record.stored)


def _response(record: _Record) -> Answer:
    kind = KINDS[record.kind]
    fields: dict[str, Any] = {}
    if kind is not EmbedResponse:
        fields = {"text": record.text, "finish_reasons": record.finish_reasons}
    if kind is ChatResponse:
        fields["streamed"] = record.events if record.streamed is True else record.streamed
    return kind(
        raw=record.raw, model=record.model, instance=record.instance, usage=record.usage, facts=record.facts, **fields
    )
