"""Compressed answers: decompressed bit by bit, and never silently short."""

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

    Gzip may come in several members (RFC 1952, 2.2), with zeros behind each as padding; anything else behind them is an
    error. Deflate is zlib's format (RFC 9110, 8.4.1.2), or the bare one that some servers send instead.

    Who limits what is decompressed limits what is received: that may be larger by 1 MiB at most.

    Args:
        window: The format as zlib has it: 31 is gzip, 15 is deflate.

    Attributes:
        finished: Whether the input has ended, and well.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._member: Any = None  # what decompresses the member that is under way
        self._ended = 0
        self._begun = False
        self._input = b""
        self._at = 0  # where in the input to go on
        self._excess = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to, or the first 1 MiB of it; ``b""`` ends the input."""
        if not data:
            if self._member is not None or (self._begun and not self._ended):
                raise UpstreamProtocol("The answer's compression was cut short.", phase="read", advice=_AGAIN)
            self.finished = True
            return b""
        self._begun = True
        self._excess += len(data)
        self._input, self._at = self._input[self._at :] + data, 0
        return self.pending()

    def pending(self) -> bytes:
        """Return more of what ``feed`` did not return, at most 1 MiB; ``b""`` when there is none."""
        while self._at < len(self._input) and (self._member is not None or self._begin()):
            inflated = self._inflate()
            if inflated:
                return inflated
        return b""

    def _begin(self) -> bool:
        """Begin a member; False when no byte of one is there, or too few."""
        size = len(self._input)
        if self._ended:
            while self._at < size and self._input[self._at] == 0:
                self._at += 1
            if self._at == size:
                return False
            if self._window != _GZIP:
                raise UpstreamProtocol("Bytes follow the end of the answer's compression.", phase="read")
        if self._window == _GZIP:
            self._member = zlib.decompressobj(_GZIP)
        elif size - self._at > 1:
            first, second = self._input[self._at : self._at + 2]
            is_zlib = first & 15 == zlib.DEFLATED and (first * 256 + second) % 31 == 0
            self._member = zlib.decompressobj(self._window if is_zlib else -self._window)
        return self._member is not None

    def _inflate(self) -> bytes:
        """Decompress a piece of the input, which is small: zlib copies what follows a member, and there may be many."""
        member = self._member
        piece = self._input[self._at : self._at + PIECE]
        try:
            inflated: bytes = member.decompress(piece, MIB)
        except zlib.error:
            raise UpstreamProtocol("The answer's compression is broken.", phase="read") from None
        self._at += len(piece) - len(member.unused_data if member.eof else member.unconsumed_tail)
        if member.eof:
            self._member = None
            self._ended += 1
        self._excess = max(0, self._excess - len(inflated))
        if self._excess > MIB:
            raise ResponseTooLarge("The answer's compression holds next to nothing.", phase="read")
        return inflated


def inflater_for(encodings: Iterable[str]) -> Inflater | None:
    """Return what decompresses a body; None where nothing is to be done.

    Args:
        encodings: The values of all headers ``Content-Encoding``.

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
