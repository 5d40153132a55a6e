"""Incremental parsers for the two line protocols in which model servers stream.

Both parsers are sans-I/O: bytes go in as they come from the network, complete events or lines come out, and it makes no
difference where the bytes are cut. They know nothing about providers, JSON or sockets.

``SSEParser`` reads server-sent events by the rules of the WHATWG HTML standard, sections "Parsing an event stream"
and "Interpreting an event stream". ``NDJSONParser`` reads one JSON document per line.

Payloads stay bytes, so that they can be forwarded unchanged. To get text, decode them with ``errors="replace"``: the
standard decodes a stream as UTF-8 and puts U+FFFD in place of invalid bytes.

Size limits are permanent: the events before the one that is too large are still returned; then every call raises.
"""

from __future__ import annotations

from itertools import takewhile

from localagent.errors import ResponseTooLarge

_BOM = b"\xef\xbb\xbf"
# A number, because `in` with bytes on its left first tries to read them as one, with an exception inside CPython.
_CR = 13


class _Unfinished(bytearray):
    """The bytes after the last line end. Each is copied a fixed number of times, however small the pieces are."""

    def whole_lines(self, data: bytes) -> bytes:
        """Return the held bytes and ``data`` up to its last LF, which is included; hold the rest."""
        end = data.rfind(b"\n") + 1
        if end == len(data) and not self:
            return data
        if not end:
            self += data
            return b""
        text = bytes(self) + data[:end] if self else data[:end]
        self[:] = data[end:]
        return text


def _plain_payloads(text: bytes, limit: int) -> list[bytes] | None:
    """Return the payloads of whole events with one ``data: `` line each and LF line ends, or None for anything else.

    The count of line ends proves this: each of n events has two, so no payload contains one. The result is also None
    for a text of more than ``limit`` bytes, because an event in it may exceed the limit.
    """
    if not text.startswith(b"data: ") or not text.endswith(b"\n\n") or _CR in text or len(text) > limit:
        return None
    payloads = text[6:-2].split(b"\n\ndata: ")
    return payloads if text.count(b"\n") == 2 * len(payloads) else None


class SSEParser:
    """Parses one event stream, piece by piece.

    ``feed`` returns only the payloads: model servers put everything important inside the JSON. Types, ids, reconnection
    times and comments are read as lines of their event and otherwise ignored.

    A piece of whole events with one ``data:`` line each, the usual case, is split without a Python step per event.
    Everything else is read line by line, with the same results.

    An unfinished event at the end of a stream is discarded, as the standard requires, so there is nothing to call
    there.

    Args:
        max_event: Maximum size in bytes of all lines of one event, including field names and comments but not line
            ends. Default 8 MiB.
    """

    def __init__(self, *, max_event: int = 8 * 1024 * 1024) -> None:
        self._max = max_event
        self._clean = False  # the next byte begins an event, and nothing read so far affects it
        self._start: bytes | None = b""  # possible beginning of a byte order mark; None once that is decided
        self._after_cr = False  # if an LF comes next, it belongs to the CR before it
        self._unfinished = _Unfinished()
        self._size = 0  # bytes of the finished lines of the open event; stays above the limit once it is exceeded
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the payload of every event that they complete.

        Args:
            data: The next bytes, cut anywhere.

        Returns:
            Payloads in order; empty when no event is complete yet.

        Raises:
            ResponseTooLarge: An event is longer than ``max_event``; an earlier call has returned those before it.
        """
        payloads = _plain_payloads(data, self._max) if self._clean else None
        return self._read(data) if payloads is None else payloads

    def _read(self, data: bytes) -> list[bytes]:
        """Read a piece of any kind in any state."""
        self._refuse_oversize()
        text = self._unfinished.whole_lines(self._text(data))
        payloads = None if self._size else _plain_payloads(text, self._max)
        if payloads is None:
            payloads = self._read_lines(text)
        if self._size + len(self._unfinished) > self._max:
            self._size = self._max + 1
        self._clean = not (self._unfinished or self._after_cr or self._start is not None or self._size)
        if not payloads:
            self._refuse_oversize()
        return payloads

    def _text(self, data: bytes) -> bytes:
        """Drop the byte order mark and turn every line end into LF."""
        if self._start is not None:
            data = self._begin(self._start + data)
        if self._after_cr or _CR in data:
            data = self._with_lf(data)
        return data

    def _begin(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._start = data
            return b""
        self._start = None
        return data.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read_lines(self, text: bytes) -> list[bytes]:
        """Read whole lines and return the payloads that they complete, up to an event that exceeds the limit."""
        payloads: list[bytes] = []
        for line in text.split(b"\n")[:-1]:
            if not line:
                if self._data:
                    payloads.append(b"\n".join(self._data))
                    self._data.clear()
                self._size = 0
                continue
            self._size += len(line)
            if self._size > self._max:
                break
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
        return payloads

    def _refuse_oversize(self) -> None:
        if self._size > self._max:
            raise ResponseTooLarge(f"An event of the stream is longer than {self._max} bytes.", phase="read")


class NDJSONParser:
    """Splits a stream of newline-delimited JSON into its lines.

    Only LF ends a line, because U+2028 and similar characters are allowed inside a JSON string. A CR before the LF is
    dropped. Blank lines (only space, tab, CR) are skipped.

    Args:
        max_line: Maximum size of one line in bytes, without its LF. Default 8 MiB.
    """

    def __init__(self, *, max_line: int = 8 * 1024 * 1024) -> None:
        self._max = max_line
        self._oversize = False
        self._unfinished = _Unfinished()

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return every line that they complete.

        Args:
            data: The next bytes, cut anywhere.

        Returns:
            Lines in order without their line end; empty when none is complete yet.

        Raises:
            ResponseTooLarge: A line is longer than ``max_line``; an earlier call has returned those before it.
        """
        self._refuse_oversize()
        text = self._unfinished.whole_lines(data)
        lines = text.split(b"\n")
        if len(text) + len(self._unfinished) > self._max:
            lines = self._within_cap(lines)
        whole = [line.removesuffix(b"\r") for line in lines if line.strip(b" \t\r")]
        if not whole:
            self._refuse_oversize()
        return whole

    def rest(self) -> bytes:
        """Return the last line, if the stream ended without its newline; empty if only white space is left.

        The caller must check whether it is a whole document: the stream may have been cut.

        Raises:
            ResponseTooLarge: A line was longer than ``max_line``.
        """
        self._refuse_oversize()
        line = bytes(self._unfinished)
        return line.removesuffix(b"\r") if line.strip(b" \t\r") else b""

    def _within_cap(self, lines: list[bytes]) -> list[bytes]:
        within = list(takewhile(lambda line: len(line) <= self._max, lines))
        self._oversize = len(within) < len(lines) or len(self._unfinished) > self._max
        return within

    def _refuse_oversize(self) -> None:
        if self._oversize:
            raise ResponseTooLarge(f"A line of the stream is longer than {self._max} bytes.", phase="read")
