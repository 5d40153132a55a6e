"""Cache records: the key function that all caches share, entries, which calls may use a cache, and packed entries."""

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

# The second hash is also SHA-256, with another prefix: with the SHA instructions of current processors it takes 0.7 us
# per KB, BLAKE2b 1.9 and MD5 1.7 (CPython 3.13, OpenSSL 3).
_CHECKING = hashlib.sha256(b"localagent-check-1")
CHECK_BYTES = 16

RECORD_VERSION = b"\x01"
_KINDS: dict[str, type[AnyResponse]] = {"chat": ChatResponse, "complete": CompletionResponse, "embed": EmbedResponse}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class CacheKey(msgspec.Struct, frozen=True, array_like=True):
    """The key of a cache entry.

    Attributes:
        digest: 32 bytes: a hash of document, operation, target, tenant, adapter version and sample.
        check: 16 bytes of a second hash of the document, with another prefix; compared on a hit.
        size: Length of the canonical encoding in bytes; compared on a hit.
        model: The target's model, as ``provider/name``.
        tenant: The tenant that the entry belongs to.

    Since: 0.1.
    """

    digest: bytes
    check: bytes
    size: int
    model: str
    tenant: str


class CacheEntry(msgspec.Struct, frozen=True):
    """An answer as a cache stores it.

    Attributes:
        key: The key of the target that answered.
        response: The whole answer.
        events: The data of its events, when it was streamed; None otherwise.
        stored: When the answer was made, in seconds since the epoch.
        source: The cache plugin that had the answer; empty for a fresh one.
        seconds: Duration of the call in which a model made the answer: about what a hit saves.

    Since: 0.1.
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
    """Return the keys of a request, one for each distinct model among the targets, in their order.

    A key is the SHA-256 of a versioned canonical encoding of the request document, combined with operation, target,
    tenant, adapter version and sample. Fields that do not change the answer are excluded (a deny-list: an unknown field
    makes another key). Canonical means sorted keys and no white space, nothing else: 1 and 1.0 differ, and a missing
    field differs from its default. The document is encoded and hashed once for all targets of an alias.

    Args:
        request: The request as it left pre_request.
        targets: The candidates; instances of one provider share a key.
        tenant: The tenant that the entry belongs to.
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
    if sample:  # cannot be confused with the length of an operation's name
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
            # The length follows the name, so that no document can end in the name of another target.
            name = target.name.encode()
            digest.update(name + len(name).to_bytes(4))
            keys[target.name] = CacheKey(digest.digest(), check, len(canonical), target.name, tenant)
    return tuple(keys.values())


def may_share(request: Request, policy: Policy) -> bool:
    """Return whether an answer to this request may be used for an identical one.

    ``deterministic``: embeddings, and requests with ``temperature`` 0 or a ``seed``. ``all``: every request.
    """
    if policy == "all" or request.operation == "embed":
        return True
    document = request.document
    return document.get("temperature") == 0 or document.get("seed") is not None


def sample_of(request: Request, chosen: int | None, samples: int, source: random.Random) -> int:
    """Return the number of the sample that a call uses, of the answers that are stored for its request.

    Args:
        request: The request.
        chosen: The sample that the call names (``CachePolicy.sample``); None if it does not name one.
        samples: How many are stored, according to the settings.
        source: Draws the sample for a call that does not name one.

    Returns:
        The sample; 0 for a request whose answer is always the same.
    """
    if chosen is not None:
        return chosen
    if samples == 1 or may_share(request, "deterministic"):
        return 0
    return source.randrange(samples)


def may_store(response: AnyResponse) -> bool:
    """Return whether an answer may be stored: only complete ones, not those cut by a length limit or a filter."""
    if isinstance(response, EmbedResponse):
        return True
    return bool(response.finish_reasons) and all(reason in GOOD_ENDS for reason in response.finish_reasons)


class _Record(msgspec.Struct, array_like=True):
    """The fields of an entry in the order in which they are written; new fields go to the end."""

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
    """Return an entry as bytes; None when it contains a value that cannot be written, such as a provider's own fact.

    The format is a version byte, then a msgpack array. It is not pickle, so foreign bytes cannot run code. Checksums
    and compression are up to the cache.

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
    """Return the entry of packed bytes; None when they have another version or another format.

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
