"""Entries of caches as bytes: what the server sent, what was read out of it, and the key.

A version byte, then a msgpack array. No pickle: bytes that somebody else has written make no code run. Whether they are
the ones that were written (a checksum), and whether they are compressed, is for the cache.
"""

from __future__ import annotations

from typing import Any

import msgspec

from localagent.cache_keys import CacheKey
from localagent.caching import AnyResponse, CacheEntry
from localagent.responses import ChatResponse, CompletionResponse, EmbedResponse, Usage

VERSION = b"\x01"
_KINDS: dict[str, type[AnyResponse]] = {"chat": ChatResponse, "complete": CompletionResponse, "embed": EmbedResponse}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class _Record(msgspec.Struct, array_like=True):
    """An entry in the order in which it is written; new fields go to the end."""

    key: tuple[bytes, bytes, int, str, str]
    stored: float
    seconds: float
    events: tuple[bytes, ...] | None
    kind: str
    raw: bytes
    model: str
    instance: str
    usage: Usage | None
    facts: dict[str, Any]
    streamed: bool | tuple[bytes, ...] | None  # True: the same as the events
    text: str = ""
    finish_reasons: tuple[str | None, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def pack_entry(entry: CacheEntry) -> bytes | None:
    """Return an entry as bytes; None when it holds what cannot be written, such as facts that a provider made up.

    Args:
        entry: The entry; its ``source`` is not written.
    """
    key, response = entry.key, entry.response
    streamed = getattr(response, "streamed", None)
    record = _Record(
        (key.digest, key.check, key.size, key.model, key.tenant), entry.stored, entry.seconds, entry.events,
        _NAMES[type(response)], response.raw, response.model, response.instance, response.usage, response.facts,
        True if streamed and streamed == entry.events else streamed,
        getattr(response, "text", ""), getattr(response, "finish_reasons", ()),
    )  # fmt: skip
    try:
        return VERSION + _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def unpack_entry(data: bytes | memoryview) -> CacheEntry | None:
    """Return the entry that was made bytes; None when they are of another version, or not such bytes at all.

    Args:
        data: What ``pack_entry`` returned.
    """
    if bytes(data[:1]) != VERSION:
        return None
    try:
        record = _decode(data[1:] if isinstance(data, memoryview) else memoryview(data)[1:])
        response = _response(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    return CacheEntry(CacheKey(*record.key), response, record.events, record.stored, seconds=record.seconds)


def _response(record: _Record) -> AnyResponse:
    kind = _KINDS[record.kind]
    fields: dict[str, Any] = {}
    if kind is not EmbedResponse:
        fields = {"text": record.text, "finish_reasons": record.finish_reasons}
    if kind is ChatResponse:
        fields["streamed"] = record.events if record.streamed is True else record.streamed
    return kind(
        raw=record.raw, model=record.model, instance=record.instance, usage=record.usage, facts=record.facts, **fields
    )
