"""Entries with made-up keys, of any size."""

from __future__ import annotations

import hashlib

from localagent import CacheEntry, CacheKey, ChatResponse


def key_of(number: int, *, model: str = "fake/m", tenant: str = "") -> CacheKey:
    """Return the key of some request; another number, model or tenant makes another one."""
    digest = hashlib.sha256(f"{number} {model} {tenant}".encode()).digest()
    return CacheKey(digest, hashlib.blake2b(b"%d" % number, digest_size=16).digest(), number % 7, model, tenant)


def entry_of(number: int, *, body: bytes = b"x" * 10, tenant: str = "", source: str = "") -> CacheEntry:
    """Return an entry whose answer names its number."""
    return CacheEntry(key_of(number, tenant=tenant), ChatResponse(raw=b"%d " % number + body), None, 7.5, source)
