"""Compressed answers: decompressed bit by bit, and never silently short."""

from __future__ import annotations

import zlib

from localagent import ResponseTooLarge, UpstreamProtocol
from localagent.errors import Advice

MIB = 1024 * 1024

_AGAIN = Advice(same=True, next=True, billed="unknown", breaker="failure")


class Inflater:
    """Decompresses gzip or deflate, at most 1 MiB at a time; a stream that ends too early is an error.

    Who limits what is decompressed limits what is received: that may be larger by 1 MiB at most.

    Attributes:
        finished: Whether the input has ended, and well.
    """

    def __init__(self, window: int) -> None:
        self._zlib = zlib.decompressobj(window)
        self._begun = False
        self._excess = 0
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to, or the first 1 MiB of it; ``b""`` ends the input."""
        if not data:
            if self._begun and not self._zlib.eof:
                raise UpstreamProtocol("The answer's compression was cut short.", phase="read", advice=_AGAIN)
            self.finished = True
            return b""
        if self._zlib.eof:
            raise UpstreamProtocol("Bytes follow the end of the answer's compression.", phase="read")
        self._begun = True
        self._excess += len(data)
        return self._inflate(data)

    def pending(self) -> bytes:
        """Return the next 1 MiB of what ``feed`` did not return."""
        return self._inflate(self._zlib.unconsumed_tail) if self._zlib.unconsumed_tail else b""

    def _inflate(self, data: bytes) -> bytes:
        try:
            inflated = self._zlib.decompress(data, MIB)
        except zlib.error:
            raise UpstreamProtocol("The answer's compression is broken.", phase="read") from None
        self._excess = max(0, self._excess - len(inflated))
        if self._excess > MIB:
            raise ResponseTooLarge("The answer's compression holds next to nothing.", phase="read")
        return inflated


def inflater_for(encoding: str | None) -> Inflater | None:
    """Return what decompresses a ``Content-Encoding``; None where nothing is to be done.

    Raises:
        UpstreamProtocol: The encoding is unknown.
    """
    if encoding is None or encoding in ("", "identity"):
        return None
    if encoding.lower() in ("gzip", "x-gzip"):
        return Inflater(16 + zlib.MAX_WBITS)
    if encoding.lower() == "deflate":
        return Inflater(zlib.MAX_WBITS)
    raise UpstreamProtocol("The answer has an unknown Content-Encoding.", phase="read")
