"""Caches: the one key function of all of them, entries, which calls may be answered by one, and entries as bytes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from localagent.errors import InvalidRequest
from localagent.records.instances import Target
from localagent.records.requests import Request
from localagent.records.responses import ChatResponse, CompletionResponse, EmbedResponse, Usage

Policy = Literal["deterministic", "all"]
AnyResponse = ChatResponse | CompletionResponse | EmbedResponse
GOOD_ENDS = frozenset({"stop", "tool_calls", "function_call"})

KEY_VERSION = b"localagent-key-1"
IGNORED = frozenset({"model", "stream", "stream_options", "user", "metadata", "store", "safety_identifier"})

_canonical = msgspec.json.Encoder(order="sorted").encode

# The second hash is SHA-256 again, begun differently: with the SHA instructions of today's processors it takes 0.7 us a
# KB, BLAKE2b 1.9 and MD5 1.7 (CPython 3.13, OpenSSL 3).
_CHECKING = hashlib.sha256(b"localagent-check-1")
CHECK_BYTES = 16

RECORD_VERSION = b"\x01"
_KINDS: dict[str, type[AnyResponse]] = {"chat": ChatResponse, "complete": CompletionResponse, "embed": EmbedResponse}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class CacheKey(msgspec.Struct, frozen=True, array_like=True):
    """What an entry is found under.

    Attributes:
        digest: 32 bytes: document, operation, target, tenant, adapter version and sample.
        check: 16 bytes of a second hash, begun differently, of the document; compared on a hit.
        size: Length of the canonical encoding in bytes; compared on a hit.
        model: The target's model, as ``provider/name``.
        tenant: Whose entry it is.
    """

    digest: bytes
    check: bytes
    size: int
    model: str
    tenant: str


class CacheEntry(msgspec.Struct, frozen=True):
    """An answer as a cache keeps it.

    Attributes:
        key: Under which it is kept: that of the target that answered.
        response: The whole answer.
        events: The data of its events, when it was streamed.
        stored: Wall-clock seconds at which the answer was made.
        source: Empty for a fresh answer; else the cache plugin that had it.
        seconds: What the call took that had a model answer: about what a hit saves.
    """

    key: CacheKey
    response: AnyResponse
    events: tuple[bytes, ...] | None = None
    stored: float = 0.0
    source: str = ""
    seconds: float = 0.0


def cache_keys(
    request: Request, targets: Iterable[Target], tenant: str, adapter: str = "1", sample: int = 0
) -> tuple[CacheKey, ...]:
    """Make the keys of a request, one for each distinct model among the targets, in their order.

    A key is the SHA-256 of a versioned canonical encoding of the whole request document except for the fields that
    change nothing (a deny-list: a field that nobody thought of makes another key), mixed with target, tenant, adapter
    version and sample. Canonical means sorted keys and no white space, nothing else: 1 and 1.0 differ, a missing field
    differs from its default. The document is encoded and hashed once for all targets of an alias.

    Args:
        request: As it left pre_request.
        targets: The candidates; instances of one provider share a key.
        tenant: Whose entry it is.
        adapter: Version of the provider's wire adapter; another version makes other keys.
        sample: Which of several answers to the same request is meant.

    Raises:
        InvalidRequest: The document cannot be written as JSON.
    """
    document = {name: value for name, value in request.document.items() if name not in IGNORED}
    try:
        canonical = _canonical(document)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {type(error).__name__}.") from None
    base = hashlib.sha256(KEY_VERSION)
    if sample:  # no length of an operation's name begins like that
        base.update(b"#%d#" % sample)
    for part in (request.operation.encode(), adapter.encode(), tenant.encode()):
        base.update(len(part).to_bytes(4) + part)
    base.update(canonical)
    checking = _CHECKING.copy()
    checking.update(canonical)
    check = checking.digest()[:CHECK_BYTES]
    keys = {}
    for target in targets:
        if target.name not in keys:
            digest = base.copy()
            # Appended with its length behind it, so that no document can end in another target's name.
            name = target.name.encode()
            digest.update(name + len(name).to_bytes(4))
            keys[target.name] = CacheKey(digest.digest(), check, len(canonical), target.name, tenant)
    return tuple(keys.values())


def may_share(request: Request, policy: Policy) -> bool:
    """Say whether an answer to this request may serve an identical one.

    ``deterministic``: embeddings, and requests with ``temperature`` 0 or a ``seed``. ``all``: every request.
    """
    if policy == "all" or request.operation == "embed":
        return True
    document = request.document
    return document.get("temperature") == 0 or document.get("seed") is not None


def sample_of(request: Request, chosen: int | None, samples: int, source: random.Random) -> int:
    """Say which of the answers that are kept for a request is meant.

    Args:
        request: The request.
        chosen: The one that the call names (``CachePolicy.sample``), if it does.
        samples: How many are kept, as the settings say.
        source: Draws one, for a call that names none.

    Returns:
        The sample; 0 for a request whose answer is always the same.
    """
    if chosen is not None:
        return chosen
    if samples == 1 or may_share(request, "deterministic"):
        return 0
    return source.randrange(samples)


def may_store(response: AnyResponse) -> bool:
    """Say whether an answer may be kept: complete ones only, never cut by length or a filter."""
    if isinstance(response, EmbedResponse):
        return True
    return bool(response.finish_reasons) and all(reason in GOOD_ENDS for reason in response.finish_reasons)


class _Record(msgspec.Struct, array_like=True):
    """An entry in the order in which it is written; new fields go to the end."""

    key: CacheKey
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

    A version byte, then a msgpack array. No pickle: bytes that somebody else has written make no code run. Whether they
    are the ones that were written (a checksum), and whether they are compressed, is for the cache.

    Args:
        entry: The entry; its ``source`` is not written.
    """
    response = entry.response
    streamed = getattr(response, "streamed", None)
    record = _Record(
        entry.key, entry.stored, entry.seconds, entry.events,
        _NAMES[type(response)], response.raw, response.model, response.instance, response.usage, response.facts,
        True if streamed and streamed == entry.events else streamed,
        getattr(response, "text", ""), getattr(response, "finish_reasons", ()),
    )  # fmt: skip
    try:
        return RECORD_VERSION + _encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def unpack_entry(data: bytes | memoryview) -> CacheEntry | None:
    """Return the entry that was made bytes; None when they are of another version, or not such bytes at all.

    Args:
        data: What ``pack_entry`` returned.
    """
    if bytes(data[:1]) != RECORD_VERSION:
        return None
    try:
        record = _decode(data[1:] if isinstance(data, memoryview) else memoryview(data)[1:])
        response = _response(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    return CacheEntry(record.key, response, record.events, record.stored, seconds=record.seconds)


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
