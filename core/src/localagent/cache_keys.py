"""The one key function of all caches.

A key is the SHA-256 of a versioned canonical encoding of the whole request document but for the fields that change
nothing (a deny-list: a field that nobody thought of makes another key), mixed with target, tenant, adapter version and
sample. Canonical means sorted keys and no white space, nothing else: 1 and 1.0 differ, a missing field differs from its
default. The document is encoded and hashed once for all targets of an alias.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from localagent.errors import InvalidRequest
from localagent.instances import Target
from localagent.requests import Request

VERSION = b"localagent-key-1"
IGNORED = frozenset({"model", "stream", "stream_options", "user", "metadata", "store", "safety_identifier"})

_canonical = msgspec.json.Encoder(order="sorted").encode

# The second hash is SHA-256 again, begun differently: with the SHA instructions of today's processors it takes 0.7 us a
# KB, BLAKE2b 1.9 and MD5 1.7 (CPython 3.13, OpenSSL 3).
_CHECKING = hashlib.sha256(b"localagent-check-1")
CHECK_BYTES = 16


class CacheKey(msgspec.Struct, frozen=True):
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


def cache_keys(
    request: Request, targets: Iterable[Target], tenant: str, adapter: str = "1", sample: int = 0
) -> tuple[CacheKey, ...]:
    """Make the keys of a request, one for each distinct model among the targets, in their order.

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
    base = hashlib.sha256(VERSION)
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
