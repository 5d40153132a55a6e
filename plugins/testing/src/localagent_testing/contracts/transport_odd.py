"""The contract of transports: odd answers, and the result that each must have in every transport.

The rules are those of RFC 9112. What it forbids in a head is refused; what is unambiguous within chunks and after them
is accepted, since real servers send it.
"""

from __future__ import annotations

import gzip
import zlib

import pytest

from localagent import LocalAgentError
from localagent.errors import UpstreamProtocol, UpstreamServerError
from localagent_testing.contracts.exchanging import MakesTransports, fetch
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import chunked
from localagent_testing.steps import Close, Drip, ReadRequest, Send

__all__ = ["Odd"]

Outcome = bytes | type[LocalAgentError]

REFUSED, CUT = UpstreamProtocol, UpstreamServerError
TEXT = b"It is what it is. " * 20


def said(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK", body: bytes = b"{}") -> bytes:
    """Return an answer with these lines as its headers."""
    return b"".join(line + b"\r\n" for line in (status, *lines, b"")) + body


def sized(status: bytes) -> bytes:
    """Return an answer with this status line and a body of two bytes."""
    return said(b"Content-Length: 2", status=status)


def with_header(line: bytes) -> bytes:
    """Return an answer with this header before its length."""
    return said(line, b"Content-Length: 2")


def in_chunks(body: bytes) -> bytes:
    """Return an answer with this chunked body."""
    return said(b"Transfer-Encoding: chunked", body=body)


def coded(coding: bytes) -> bytes:
    """Return an answer whose body of one chunk has this transfer coding."""
    return said(b"Transfer-Encoding: " + coding, body=chunked([b"{}"]))


def compressed(data: bytes, *encodings: bytes) -> bytes:
    """Return an answer whose body is compressed."""
    headers = [b"Content-Encoding: " + encoding for encoding in encodings or (b"gzip",)]
    return said(*headers, b"Content-Length: %d" % len(data), body=data)


def deflated(window: int) -> bytes:
    """Return the text in one of the formats of zlib."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, window)
    return deflate.compress(TEXT) + deflate.flush()


EARLY = b"HTTP/1.1 103 Early Hints\r\n"
SIZED = sized(b"HTTP/1.1 200 OK")
ONE, TWO = gzip.compress(b"one, "), gzip.compress(b"two")

LENGTHS: dict[str, tuple[bytes, Outcome]] = {
    "two equal lengths": (said(b"Content-Length: 2", b"Content-Length: 2"), REFUSED),
    "two lengths": (said(b"Content-Length: 2", b"Content-Length: 7"), REFUSED),
    "list of equal lengths": (said(b"Content-Length: 2, 2"), REFUSED),
    "empty length": (said(b"Content-Length: "), REFUSED),
    "negative length": (said(b"Content-Length: -2"), REFUSED),
    "length with an underscore": (said(b"Content-Length: 0_2"), REFUSED),
    "length with zeros": (said(b"Content-Length: 002"), b"{}"),
    "length with blanks": (said(b"Content-Length:  2\t"), b"{}"),
    "length without a blank": (said(b"Content-Length:2"), b"{}"),
    "length and chunks": (said(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=chunked([b"{}"])), REFUSED),
    "short body": (said(b"Content-Length: 5"), CUT),
    "no body at all": (said(b"Content-Length: 5", body=b""), CUT),
    "no length": (said(), b"{}"),
    "no length, nothing": (said(body=b""), b""),
    "no length, keep-alive": (said(b"Connection: keep-alive"), b"{}"),
    "1.0 without a length": (said(status=b"HTTP/1.0 200 OK"), b"{}"),
    "1.0 with a length": (sized(b"HTTP/1.0 200 OK"), b"{}"),
}
CODINGS: dict[str, tuple[bytes, Outcome]] = {
    "capitals": (coded(b"CHUNKED"), b"{}"),
    "blanks": (coded(b" chunked "), b"{}"),
    "chunked twice": (coded(b"chunked\r\nTransfer-Encoding: chunked"), REFUSED),
    "gzip before chunked": (coded(b"gzip, chunked"), REFUSED),
    "gzip behind chunked": (coded(b"chunked, gzip"), REFUSED),
    "identity behind chunked": (coded(b"chunked, identity"), REFUSED),
    "identity": (said(b"Transfer-Encoding: identity"), REFUSED),
    "unknown": (coded(b"xchunked"), REFUSED),
    "parameter": (coded(b"chunked;q=1"), REFUSED),
    "empty": (said(b"Transfer-Encoding:", b"Content-Length: 2"), REFUSED),
    "chunks in 1.0": (coded(b"chunked").replace(b"1.1", b"1.0", 1), REFUSED),
}
CHUNKS: dict[str, tuple[bytes, Outcome]] = {
    "hexadecimal prefix": (in_chunks(b"0x2\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "negative size": (in_chunks(b"-2\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "signed size": (in_chunks(b"+2\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "underscore": (in_chunks(b"0_2\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "empty size": (in_chunks(b"\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "blank before the size": (in_chunks(b" 2\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "blank behind the size": (in_chunks(b"2  \r\n{}\r\n0\r\n\r\n"), b"{}"),
    "zeros": (in_chunks(b"0002\r\n{}\r\n000\r\n\r\n"), b"{}"),
    "capitals in a size": (in_chunks(b"A\r\n" + b"{}" * 5 + b"\r\n0\r\n\r\n"), b"{}" * 5),
    "line feed behind a size": (in_chunks(b"2\n{}\r\n0\r\n\r\n"), REFUSED),
    "line feed behind data": (in_chunks(b"2\r\n{}\n0\r\n\r\n"), b"{}"),
    "carriage return": (in_chunks(b"2\r{}\r\n0\r\n\r\n"), REFUSED),
    "nothing behind data": (in_chunks(b"2\r\n{}0\r\n\r\n"), REFUSED),
    "extensions": (in_chunks(b'2;a=b;c="d;e"\r\n{}\r\n0;f\r\n\r\n'), b"{}"),
    "long extension": (in_chunks(b"2;" + b"a" * 20_000 + b"\r\n{}\r\n0\r\n\r\n"), b"{}"),
    "empty extension": (in_chunks(b"2;\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "null in an extension": (in_chunks(b"2;a\0b\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "line feed in an extension": (in_chunks(b"2;a\nb\r\n{}\r\n0\r\n\r\n"), REFUSED),
    "no last chunk": (in_chunks(b"2\r\n{}\r\n"), CUT),
    "cut in a size": (in_chunks(b"2\r\n{}\r\n0"), CUT),
    "cut in a chunk": (in_chunks(b"5\r\n{}"), CUT),
    "cut behind the last chunk": (in_chunks(b"2\r\n{}\r\n0\r\n"), CUT),
    "cut in a trailer": (in_chunks(b"2\r\n{}\r\n0\r\nX-T: a\r\n"), CUT),
    "trailer": (in_chunks(b"2\r\n{}\r\n0\r\nX-T: a\r\n\r\n"), b"{}"),
    "coding as a trailer": (in_chunks(b"2\r\n{}\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"), b"{}"),
    "compression as a trailer": (in_chunks(b"2\r\n{}\r\n0\r\nContent-Encoding: gzip\r\n\r\n"), b"{}"),
    "length as a trailer": (in_chunks(b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"), REFUSED),
    "broken trailer": (in_chunks(b"2\r\n{}\r\n0\r\nX T: a\r\n\r\n"), REFUSED),
    "folded trailer": (in_chunks(b"2\r\n{}\r\n0\r\nX-T: a\r\n b\r\n\r\n"), b"{}"),
    "long trailer": (in_chunks(b"2\r\n{}\r\n0\r\nX-T: " + b"a" * 9000 + b"\r\n\r\n"), REFUSED),
    "many trailers": (in_chunks(b"2\r\n{}\r\n0\r\n" + b"X-T: a\r\n" * 200 + b"\r\n"), REFUSED),
}
HEADS: dict[str, tuple[bytes, Outcome]] = {
    "folded header": (with_header(b"X-A: a\r\n b"), REFUSED),
    "folded by a tab": (with_header(b"X-A: a\r\n\tb"), REFUSED),
    "folded length": (said(b"Content-Length:\r\n 2"), REFUSED),
    "blank before the first header": (with_header(b" X-A: a"), REFUSED),
    "line feeds only": (SIZED.replace(b"\r\n", b"\n"), REFUSED),
    "line feed behind the status": (SIZED.replace(b"OK\r\n", b"OK\n"), REFUSED),
    "line feed behind a header": (with_header(b"X-A: a\nX-B: b"), REFUSED),
    "line feed as the end": (SIZED.replace(b"\r\n\r\n", b"\r\n\n"), REFUSED),
    "carriage return in a header": (with_header(b"X-A: a\rb"), REFUSED),
    "two carriage returns": (with_header(b"X-A: a\r"), REFUSED),
    "blank before a colon": (with_header(b"X-A : a"), REFUSED),
    "blank before a length's colon": (said(b"Content-Length : 2"), REFUSED),
    "tab before a colon": (said(b"Content-Length\t: 2"), REFUSED),
    "colon behind a blank in a value": (with_header(b"X-A: a : b"), b"{}"),
    "blank in a name": (with_header(b"X A: a"), REFUSED),
    "no colon": (with_header(b"X-A"), REFUSED),
    "no name": (with_header(b": a"), REFUSED),
    "no value": (with_header(b"X-A:"), b"{}"),
    "slash in a name": (with_header(b"X/A: a"), REFUSED),
    "Latin-1 in a name": (with_header(b"X-\xe4: a"), REFUSED),
    "Latin-1 in a value": (with_header(b"X-A: \xe4"), b"{}"),
    "null in a name": (with_header(b"X\0A: a"), REFUSED),
    "null in a value": (with_header(b"X-A: a\0b"), REFUSED),
    "control character": (with_header(b"X-A: a\x01b"), REFUSED),
    "delete character": (with_header(b"X-A: a\x7fb"), REFUSED),
    "long value": (with_header(b"X-A: " + b"a" * 8187), b"{}"),
    "too long value": (with_header(b"X-A: " + b"a" * 8188), REFUSED),
    "too long name": (with_header(b"a" * 8191 + b": a"), REFUSED),
    "128 headers": (said(*[b"X-A: a"] * 127, b"Content-Length: 2"), b"{}"),
    "129 headers": (said(*[b"X-A: a"] * 128, b"Content-Length: 2"), REFUSED),
    "head of 600 KB": (said(*[b"X-A: " + b"a" * 6000] * 100, b"Content-Length: 2"), b"{}"),
    "cut in a name": (b"HTTP/1.1 200 OK\r\nContent-Le", REFUSED),
    "cut behind a header": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", REFUSED),
    "nothing": (b"", CUT),
}
STATUSES: dict[str, tuple[bytes, Outcome]] = {
    "no reason": (sized(b"HTTP/1.1 200"), b"{}"),
    "empty reason": (sized(b"HTTP/1.1 200 "), b"{}"),
    "reason in UTF-8": (sized("HTTP/1.1 200 Grüß".encode()), b"{}"),
    "reason with a tab": (sized(b"HTTP/1.1 200 a\tb"), b"{}"),
    "reason with a null": (sized(b"HTTP/1.1 200 a\0b"), REFUSED),
    "reason of 9 KB": (sized(b"HTTP/1.1 200 " + b"a" * 9000), REFUSED),
    "two digits": (sized(b"HTTP/1.1 20 OK"), REFUSED),
    "four digits": (sized(b"HTTP/1.1 2000 OK"), REFUSED),
    "signed": (sized(b"HTTP/1.1 +20 OK"), REFUSED),
    "zero": (sized(b"HTTP/1.1 000 OK"), REFUSED),
    "below 100": (sized(b"HTTP/1.1 099 OK"), REFUSED),
    "beyond 599": (sized(b"HTTP/1.1 600 Odd"), b"{}"),
    "two blanks": (sized(b"HTTP/1.1  200 OK"), REFUSED),
    "HTTP/0.9": (sized(b"HTTP/0.9 200 OK"), REFUSED),
    "HTTP/1.2": (sized(b"HTTP/1.2 200 OK"), REFUSED),
    "HTTP/1.10": (sized(b"HTTP/1.10 200 OK"), REFUSED),
    "HTTP/2.0": (sized(b"HTTP/2.0 200 OK"), REFUSED),
    "HTTP/2": (sized(b"HTTP/2 200 OK"), REFUSED),
    "small letters": (sized(b"http/1.1 200 OK"), REFUSED),
    "RTSP": (sized(b"RTSP/1.0 200 OK"), REFUSED),
    "ICY": (sized(b"ICY 200 OK"), REFUSED),
    "empty line first": (b"\r\n" + SIZED, REFUSED),
    "blank first": (b" " + SIZED, REFUSED),
    "byte order mark": (b"\xef\xbb\xbf" + SIZED, REFUSED),
    "switched protocol": (said(b"Upgrade: h2c", b"Connection: Upgrade", status=b"HTTP/1.1 101 OK"), REFUSED),
    "upgrade offered": (said(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 2"), b"{}"),
    "interim": (EARLY + b"\r\n" + SIZED, b"{}"),
    "two interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY + b"Link: a\r\n\r\n" + SIZED, b"{}"),
    "interim with a length": (EARLY + b"Content-Length: 5\r\n\r\n" + SIZED, b"{}"),
    "interim in chunks": (EARLY + b"Transfer-Encoding: chunked\r\n\r\n" + SIZED, b"{}"),
    "odd behind an interim": (EARLY + b"\r\n" + with_header(b"X-A: a\r\n b"), REFUSED),
    "nothing but an interim": (EARLY + b"\r\n", CUT),
    "204": (said(status=b"HTTP/1.1 204 None", body=b""), b""),
    "204 with a length": (said(b"Content-Length: 2", status=b"HTTP/1.1 204 None", body=b""), b""),
    "304 with a length": (said(b"Content-Length: 2", status=b"HTTP/1.1 304 Same", body=b""), b""),
    "304 in chunks": (said(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 304 Same", body=b""), b""),
    "205 with a body": (sized(b"HTTP/1.1 205 Reset"), b"{}"),
}
COMPRESSIONS: dict[str, tuple[bytes, Outcome]] = {
    "two members": (compressed(ONE + TWO), b"one, two"),
    "empty members": (compressed(gzip.compress(b"") + ONE + gzip.compress(b"") * 3 + TWO), b"one, two"),
    "nothing but empty members": (compressed(gzip.compress(b"") * 3), b""),
    "3000 members": (compressed(ONE * 3000), b"one, " * 3000),
    "padding": (compressed(ONE + bytes(512)), b"one, "),
    "padding between members": (compressed(ONE + bytes(512) + TWO), b"one, two"),
    "nothing but padding": (compressed(bytes(512)), REFUSED),
    "garbage": (compressed(ONE + b"garbage"), REFUSED),
    "garbage behind padding": (compressed(ONE + b"\0\0garbage"), REFUSED),
    "second member cut": (compressed(ONE + TWO[:-3]), REFUSED),
    "second header cut": (compressed(ONE + TWO[:4]), REFUSED),
    "one byte of a second member": (compressed(ONE + TWO[:1]), REFUSED),
    "wrong checksum": (compressed(ONE[:-8] + bytes(4) + ONE[-4:]), REFUSED),
    "wrong size": (compressed(ONE[:-1] + b"\1"), REFUSED),
    "wrong checksum of the second": (compressed(ONE + TWO[:-8] + bytes(4) + TWO[-4:]), REFUSED),
    "no gzip": (compressed(b"{}"), REFUSED),
    "gzip without a body": (compressed(b""), b""),
    "deflate": (compressed(deflated(15), b"deflate"), TEXT),
    "bare deflate": (compressed(deflated(-15), b"deflate"), TEXT),
    "deflate cut": (compressed(deflated(15)[:-2], b"deflate"), REFUSED),
    "bare deflate cut": (compressed(deflated(-15)[:-2], b"deflate"), REFUSED),
    "one byte of deflate": (compressed(deflated(15)[:1], b"deflate"), REFUSED),
    "deflate twice": (compressed(deflated(15) * 2, b"deflate"), REFUSED),
    "garbage behind deflate": (compressed(deflated(15) + b"xx", b"deflate"), REFUSED),
    "capitals": (compressed(ONE, b"GZIP"), b"one, "),
    "old name": (compressed(ONE, b"x-gzip"), b"one, "),
    "blanks": (compressed(ONE, b"gzip \t"), b"one, "),
    "identity": (compressed(b"{}", b"IDENTITY"), b"{}"),
    "identity and gzip": (compressed(ONE, b"identity", b"gzip"), b"one, "),
    "gzip in gzip": (compressed(gzip.compress(ONE), b"gzip, gzip"), REFUSED),
    "gzip in gzip, two headers": (compressed(gzip.compress(ONE), b"gzip", b"gzip"), REFUSED),
    "brotli": (compressed(b"\x0b\x00\x80{}\x03", b"br"), REFUSED),
    "zstd": (compressed(b"\x28\xb5\x2f\xfd", b"zstd"), REFUSED),
}
TABLES = {"length": LENGTHS, "coding": CODINGS, "chunk": CHUNKS, "head": HEADS, "status": STATUSES,
          "compression": COMPRESSIONS}  # fmt: skip
ROWS = [pytest.param(*row, id=f"{table}: {name}") for table, rows in TABLES.items() for name, row in rows.items()]
DRIPPED = [row for row in ROWS if len(row.values[0]) < 2000]  # type: ignore[arg-type]


class Odd(MakesTransports):
    """Odd answers."""

    @pytest.mark.parametrize(("data", "outcome"), ROWS)
    async def test_an_odd_answer_has_one_outcome(self, data: bytes, outcome: Outcome) -> None:
        """It is read in the usual way, or refused; no transport is more lenient than another."""
        await self._expect((ReadRequest(), Send(data), Close()), outcome)

    @pytest.mark.parametrize(("data", "outcome"), DRIPPED)
    async def test_an_odd_answer_has_the_same_outcome_byte_by_byte(self, data: bytes, outcome: Outcome) -> None:
        """Also if it is cut after each byte; the reader of a body that turns out to be broken does not hang."""
        await self._expect((ReadRequest(), Drip(data, pause=0.0), Close()), outcome)

    async def _expect(self, script: tuple[object, ...], outcome: Outcome) -> None:
        async with FaultServer(script) as server, self.transport() as transport:  # type: ignore[arg-type]
            if isinstance(outcome, bytes):
                assert await fetch(transport, server.url) == outcome
                return
            with pytest.raises(outcome) as caught:
                await fetch(transport, server.url)
            assert type(caught.value) is outcome
