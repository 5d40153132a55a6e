"""Entries with made-up keys, of any size."""

from __future__ import annotations

import hashlib

from localagent import CacheEntry, CacheKey, ChatResponse


def key_of(number: int, *, model: str = "fake/m", tenant: str = "") -> CacheKey:
    """Return the key of some request; another number, model or tenant makes another one."""
    digest = hashlib.sha256(f"{number} {model} {tenant}".encode()).digest()
    return CacheKey(digest, hashlib.blake2b(b"%d" % number, digest_size=16).digest(), number % 7, model, tenant)


def entry_of(
    number: int, *, length: int = 10, model: str = "fake/m", tenant: str = "", stored: float = 0.0, source: str = ""
) -> CacheEntry:
    """Return an entry whose answer has so many bytes, that name its number."""
    raw = b"%d " % number + b"x" * length
    return CacheEntry(key_of(number, model=model, tenant=tenant), ChatResponse(raw=raw), None, stored, source)
