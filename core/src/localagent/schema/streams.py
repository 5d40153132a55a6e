"""Incremental parsers for the two line protocols that model servers stream in.

Both parsers are sans-I/O: bytes go in as the network cut them, complete events or lines come out, and where the cuts
fell makes no difference. Nothing here knows a provider, JSON or a socket.

``SSEParser`` reads server-sent events by the rules of the WHATWG HTML standard, sections "Parsing an event stream"
and "Interpreting an event stream". ``NDJSONParser`` reads one JSON document a line.

Payloads stay bytes as they came, so that they can be forwarded unchanged. A reader that needs text decodes them with
``errors="replace"``: the standard decodes a stream as UTF-8 and puts U+FFFD where it is not.

Size limits are sticky. Events before the one that is too large are still handed out; then every call raises.
"""

from __future__ import annotations

from itertools import takewhile

from localagent.errors import ResponseTooLarge

_BOM = b"\xef\xbb\xbf"
# A number: `in` with bytes on its left first tries to read them as a number, which costs an exception inside CPython.
_CR = 13


class _Unfinished(bytearray):
    """The bytes behind the last line end. Each is copied a fixed number of times, however small the pieces."""

    def whole_lines(self, data: bytes) -> bytes:
        """Return what was held and ``data`` up to its last LF, which is included; hold what follows it."""
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
    """Return the payloads of whole events of one ``data: `` line each and LF line ends, or None for anything else.

    The count of line ends is the proof: each of n events has two, so no payload holds one. A text over ``limit``
    bytes is left to those who look for an event that is over it.
    """
    if not text.startswith(b"data: ") or not text.endswith(b"\n\n") or _CR in text or len(text) > limit:
        return None
    payloads = text[6:-2].split(b"\n\ndata: ")
    return payloads if text.count(b"\n") == 2 * len(payloads) else None


class SSEParser:
    """Parses one event stream, piece by piece.

    ``feed`` returns the payloads alone: model servers put all that matters inside the JSON. Types, ids, reconnection
    times and comments are read as lines of their event and otherwise ignored.

    A piece of whole events of one ``data:`` line each, the everyday case, is split without a step per event in
    Python. Everything else is read line by line. The results are equal.

    What a stream leaves unfinished at its end is not an event: the standard says to discard it, so there is nothing to
    call at the end.

    Args:
        max_event: Bytes that the lines of one event may have together, field names and comments included, line ends
            not. Default 8 MiB.
    """

    def __init__(self, *, max_event: int = 8 * 1024 * 1024) -> None:
        self._max = max_event
        self._clean = False  # the next byte begins an event, and nothing read so far bears on it
        self._start: bytes | None = b""  # what may yet be a byte order mark; None once that is decided
        self._after_cr = False  # an LF that comes next belongs to the CR before it
        self._unfinished = _Unfinished()
        self._size = 0  # bytes of the finished lines of the open event; stays above the cap once it was passed
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the payload of every event that they complete.

        Args:
            data: The next bytes, cut anywhere.

        Returns:
            Payloads in order; empty when no event is complete yet.

        Raises:
            ResponseTooLarge: An event is longer than ``max_event``; those in front of it have been returned before.
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
        """Drop the byte order mark and make every line end an LF."""
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
        """Read whole lines and return what they dispatch, up to an event that passes the cap."""
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

    Only LF ends a line, because U+2028 and its like may stand inside a JSON string. A CR in front of the LF is
    dropped. Blank lines (nothing but space, tab, CR) are left out.

    Args:
        max_line: Bytes that one line may have, its LF not counted. Default 8 MiB.
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
            ResponseTooLarge: A line is longer than ``max_line``; those in front of it have been returned before.
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
        """Return the last line, if the stream ended without its newline; empty where nothing but blanks is left.

        Whether it is a whole document is for the caller to find out: the stream may have been cut.

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
