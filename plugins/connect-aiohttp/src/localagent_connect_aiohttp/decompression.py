"""Decompresses answers step by step; a truncated answer is always an error."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from localagent.errors import Advice, ResponseTooLarge, UpstreamProtocol

MIB = 1024 * 1024
PIECE = 16 * 1024

_AGAIN = Advice(same=True, next=True, billed="unknown", breaker="failure")


_GZIP = 16 + zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class Inflater:
    """Decompresses gzip or deflate, at most 1 MiB at a time; a stream that ends too early is an error.

    Gzip may consist of several members (RFC 1952, 2.2), each followed by zeros as padding; any other byte after one is
    an error. Deflate is zlib's format (RFC 9110, 8.4.1.2), or the raw format that some servers send instead.

    A limit on the decompressed size also limits the received size, which may exceed it by at most 1 MiB.

    Args:
        window: The format, as zlib's ``wbits``: 31 is gzip, 15 is deflate.

    Attributes:
        finished: Whether the input ended without an error.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._member: Any = None  # the decompressor of the current member
        self._ended = 0
        self._begun = False
        self._input = b""
        self._at = 0  # offset of the next unread byte of the input
        self._excess = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Return the decompressed bytes, at most the first 1 MiB of them; ``b""`` as input ends it."""
        if not data:
            if self._member is not None or (self._begun and not self._ended):
                raise UpstreamProtocol("The compressed answer was cut short.", phase="read", advice=_AGAIN)
            self.finished = True
            return b""
        self._begun = True
        self._excess += len(data)
        self._input, self._at = self._input[self._at :] + data, 0
        return self.pending()

    def pending(self) -> bytes:
        """Return further decompressed bytes that ``feed`` left, at most 1 MiB; ``b""`` when nothing is left."""
        while self._at < len(self._input) and (self._member is not None or self._begin()):
            inflated = self._inflate()
            if inflated:
                return inflated
        return b""

    def _begin(self) -> bool:
        """Begin a member; return False when the input has no byte of one, or too few."""
        size = len(self._input)
        if self._ended:
            while self._at < size and self._input[self._at] == 0:
                self._at += 1
            if self._at == size:
                return False
            if self._window != _GZIP:
                raise UpstreamProtocol("Bytes follow the end of the compressed answer.", phase="read")
        if self._window == _GZIP:
            self._member = zlib.decompressobj(_GZIP)
        elif size - self._at > 1:
            first, second = self._input[self._at : self._at + 2]
            is_zlib = first & 15 == zlib.DEFLATED and (first * 256 + second) % 31 == 0
            self._member = zlib.decompressobj(self._window if is_zlib else -self._window)
        return self._member is not None

    def _inflate(self) -> bytes:
        """Decompress a small piece of the input: zlib copies all bytes after a member, and members may be many."""
        member = self._member
        piece = self._input[self._at : self._at + PIECE]
        try:
            inflated: bytes = member.decompress(piece, MIB)
        except zlib.error:
            raise UpstreamProtocol("The compressed answer is damaged.", phase="read") from None
        self._at += len(piece) - len(member.unused_data if member.eof else member.unconsumed_tail)
        if member.eof:
            self._member = None
            self._ended += 1
        self._excess = max(0, self._excess - len(inflated))
        if self._excess > MIB:
            raise ResponseTooLarge(
                "The compressed answer is more than 1 MiB larger than its decompressed content.", phase="read"
            )
        return inflated


def inflater_for(encodings: Iterable[str]) -> Inflater | None:
    """Return the decompressor for a body; None when it is not compressed.

    Args:
        encodings: The values of all ``Content-Encoding`` headers.

    Raises:
        UpstreamProtocol: An encoding is unknown, or there is more than one.
    """
    names = [name.strip(" \t").lower() for value in encodings for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _CODINGS:
        raise UpstreamProtocol("The answer has an unknown Content-Encoding.", phase="read")
    return Inflater(_CODINGS[codings[0]])
