"""Bodies with status 200, each broken in one way, made from an answer of the protocol."""

from __future__ import annotations

import gzip

from localagent_testing.faults.dialects import TEXT, Dialect
from localagent_testing.http_bytes import encoded

DEPTH = 100_000
BOMB = 8 * 1024 * 1024
#: Begins like a Snappy stream; nobody can read it, as JSON or otherwise.
SNAPPY = b"\xff\x06\x00\x00sNaPpY" + bytes(range(256))


def whole_answer(dialect: Dialect) -> bytes:
    """Return a correct answer."""
    return encoded(dialect.completion())


def with_field(dialect: Dialect, raw: bytes) -> bytes:
    """Return an answer with an extra field, whose value is any bytes."""
    return whole_answer(dialect).removesuffix(b"}") + b',"odd":' + raw + b"}"


def nested(dialect: Dialect) -> bytes:
    """Return an answer with a field of lists in lists."""
    return with_field(dialect, b"[" * DEPTH + b"]" * DEPTH)


def surrogate(dialect: Dialect) -> bytes:
    """Return an answer with half of a surrogate pair in its text."""
    return encoded(dialect.completion("lone half")).replace(b"lone", b"lone \\ud800")


def huge_number(dialect: Dialect) -> bytes:
    """Return an answer with a field of 400 digits before the point."""
    return with_field(dialect, b"1" + b"0" * 400 + b".0")


def invalid_utf8(dialect: Dialect) -> bytes:
    """Return an answer whose text contains a byte that is not UTF-8."""
    return encoded(dialect.completion("no text")).replace(b"no text", b"no \xff text")


def doubled(dialect: Dialect) -> bytes:
    """Return an answer in which every field appears twice, first with another text."""
    other = encoded(dialect.completion("not this"))
    return other.removesuffix(b"}") + b"," + whole_answer(dialect).removeprefix(b"{")


def bomb(dialect: Dialect) -> bytes:
    """Return a small gzip of a large answer."""
    return gzip.compress(encoded(dialect.completion("a" * BOMB)))


def corrupt(dialect: Dialect) -> bytes:
    """Return a gzip that is overwritten in the middle."""
    body = gzip.compress(encoded(dialect.completion(TEXT * 50)))
    return body[:20] + b"\xff" * 20 + body[40:]


def half_a_gzip(dialect: Dialect) -> bytes:
    """Return a gzip that ends too soon; decompression gives the beginning of the answer and no error."""
    text = " ".join(f"{number * number:x}" for number in range(2000))
    body = gzip.compress(encoded(dialect.completion(text)))
    return body[: len(body) // 2]
