"""Requests that are framed to be read in two ways, or that no client should send; bytes as they go on the wire.

Each is followed on its connection by an innocent request (``NEXT``): what an attack would poison. ``answers`` are the
statuses that must come back, in order. A last 200 that stands for ``NEXT`` says that the attack was harmless and the
connection is still in step; without it the connection must be closed. ``asked`` is how many requests may reach a model.

Sources of the classes: RFC 9112 sections 3 to 7 and 11, RFC 9110 sections 5.5, 7.2, 7.8 and 10.1.1.
"""

from __future__ import annotations

import gzip

import attrs

HOST = b"Host: 127.0.0.1\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
CHAT = b'{"messages":[{"role":"user","content":"Hi"}]}'
CHAT_LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
SIZED = b"Content-Length: %d\r\n" % len(CHAT)
INNER = CHAT_LINE + HOST + SIZED + b"\r\n" + CHAT
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(64))


@attrs.frozen
class Attack:
    """One attack.

    Attributes:
        name: What it tries.
        data: The bytes.
        answers: The statuses that must come back, that of ``NEXT`` included.
        asked: How many requests reach a model.
        dripped: The statuses when the bytes come in pieces, where they differ: what stands behind a request that ends
            its connection makes aiohttp's parser refuse both, but only when it sees both at once.
    """

    name: str
    data: bytes
    answers: tuple[int, ...]
    asked: int = 0
    dripped: tuple[int, ...] = ()


def post(headers: bytes, body: bytes, line: bytes = CHAT_LINE) -> bytes:
    """Return a chat request with these header lines beside ``Host``."""
    return line + HOST + headers + b"\r\n" + body


def get(headers: bytes = HOST, target: bytes = b"/healthz", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a request without a body."""
    return b"GET %b %b\r\n%b\r\n" % (target, version, headers)


def refused(name: str, data: bytes, status: int = 400) -> Attack:
    """Return an attack that is answered once, by an error; the connection is closed."""
    return Attack(name, data, (status,))


def harmless(name: str, data: bytes, status: int = 200, asked: int = 0) -> Attack:
    """Return an attack that is answered once; then the connection goes on in step."""
    return Attack(name, data, (status, 200), asked)


def last(name: str, data: bytes, asked: int = 0) -> Attack:
    """Return a request that is answered and is the last one on its connection: nothing behind it is read."""
    return Attack(name, data, (200,), asked)


def chunked(body: bytes) -> bytes:
    """Return a chat request with a chunked body, byte for byte as given."""
    return post(b"Transfer-Encoding: chunked\r\n", body)


def coded(coding: bytes, body: bytes = CHUNKS) -> bytes:
    """Return a chat request with this transfer coding."""
    return post(b"Transfer-Encoding: %b\r\n" % coding, body)


def length(value: bytes) -> bytes:
    """Return a chat request with this content length."""
    return post(b"Content-Length: %b\r\n" % value, CHAT)


LENGTHS = [
    refused("length and chunks", post(SIZED + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + INNER)),
    refused("chunks and length", post(b"Transfer-Encoding: chunked\r\n" + SIZED, b"0\r\n\r\n" + INNER)),
    refused("two lengths", post(b"Content-Length: 0\r\n" + SIZED, CHAT)),
    refused("twice the same length", post(SIZED + SIZED, CHAT)),
    refused("a list of lengths", length(b"45, 45")),
    refused("a positive sign", length(b"+45")),
    refused("a negative length", length(b"-1")),
    refused("a hexadecimal length", length(b"0x2d")),
    refused("a length in two parts", length(b"4 5")),
    refused("a length with an underscore", length(b"4_5")),
    refused("a decimal length", length(b"45.0")),
    refused("an empty length", length(b"")),
    refused("a length in other digits", length("٤٥".encode())),
    refused("a length beyond 64 bits", length(b"9" * 30)),
    harmless("white space around a length", length(b" \t45\t "), asked=1),
    refused("a length before a spaced colon", post(b"Content-Length : 45\r\n", CHAT)),
    Attack("a length that says too little", post(b"Content-Length: 2\r\n", b"{}" + INNER), (400, 200, 200), 1),
    refused("a length that says too much", post(b"Content-Length: 99999\r\n", CHAT + INNER), 408),
    refused("a length beyond the limit", post(b"Content-Length: 99999999\r\n", CHAT), 413),
    harmless("a length of zero before a request", get(HOST + b"Content-Length: 0\r\n")),
    harmless("a request as the body of a GET", get(HOST + b"Content-Length: %d\r\n" % len(INNER)) + INNER),
]

CODINGS = [
    refused("an unknown coding", coded(b"xchunked")),
    refused("chunked is not the last", coded(b"chunked, identity")),
    refused("identity", coded(b"identity")),
    refused("chunked twice in a list", coded(b"chunked, chunked")),
    refused("chunked twice", post(b"Transfer-Encoding: chunked\r\n" * 2, CHUNKS)),
    refused("chunked and unknown", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", CHUNKS)),
    refused("a coding behind a vertical tab", coded(b"\x0bchunked")),
    refused("a coding in quotes", coded(b'"chunked"')),
    refused("a coding with a parameter", coded(b"chunked;q=1")),
    refused("compressed chunks", coded(b"gzip, chunked")),
    refused("an empty coding", coded(b"")),
    refused("a coding before a spaced colon", post(b"Transfer-Encoding : chunked\r\n", CHUNKS)),
    refused("a folded coding", post(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS)),
    refused("a coding folded onto another header", post(b"X: y\r\n Transfer-Encoding: chunked\r\n", CHUNKS)),
    refused("chunks in HTTP/1.0", post(b"Transfer-Encoding: chunked\r\n", CHUNKS, CHAT_LINE.replace(b"1.1", b"1.0"))),
    harmless("a coding in capitals", coded(b"CHUNKED"), asked=1),
    harmless("a header with an underscore", post(SIZED + b"Transfer_Encoding: chunked\r\n", CHAT), asked=1),
]

CHUNKINGS = [
    refused("a negative chunk", chunked(b"-1\r\n" + INNER)),
    refused("a signed chunk", chunked(b"+2d\r\n" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a chunk with a prefix", chunked(b"0x2d\r\n" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a chunk with an underscore", chunked(b"2_d\r\n" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a chunk of no size", chunked(b"\r\n" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a chunk beyond 64 bits", chunked(b"1" + b"0" * 16 + b"\r\n" + CHAT)),
    harmless("a chunk of a very long size", chunked(b"0" * 20_000 + CHUNKS), asked=1),
    refused("a chunk that is longer than its size", chunked(b"2\r\n{}" + INNER)),
    refused("a chunk size that ends with a line feed", chunked(b"2d\n" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a chunk that ends with a line feed", chunked(b"2d\r\n" + CHAT + b"\n0\r\n\r\n")),
    refused("a chunk size that ends with a carriage return", chunked(b"2d\r" + CHAT + b"\r\n0\r\n\r\n")),
    refused("a line feed in a chunk's extension", chunked(b"2d;a\n" + CHAT + b"\r\n0\r\n\r\n" + INNER)),
    harmless("a huge chunk extension", chunked(b"2d;" + b"a" * 100_000 + b"\r\n" + CHAT + b"\r\n0\r\n\r\n"), asked=1),
    harmless("a small chunk extension", chunked(b'2d;a="b"\r\n' + CHAT + b"\r\n0\r\n\r\n"), asked=1),
    harmless("a trailer", chunked(CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n"), asked=1),
    refused("a length in the trailer", chunked(CHUNKS[:-2] + b"Content-Length: 99\r\n\r\n")),
    harmless("a key in the trailer", chunked(CHUNKS[:-2] + b"Authorization: Bearer x\r\n\r\n"), asked=1),
    refused("very many trailers", chunked(CHUNKS[:-2] + b"X: 1\r\n" * 50_000), 431),
    refused("a huge trailer", chunked(CHUNKS[:-2] + b"X: " + b"1" * 200_000), 431),
    refused("a chunk that never ends", chunked(b"ffff\r\n" + CHAT), 408),
]

HEADERS = [
    refused("a line feed alone", CHAT_LINE + HOST + b"X: y\n" + SIZED + b"\r\n" + CHAT),
    refused("line feeds alone", b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n"),
    refused("a carriage return alone", get(HOST + b"X: y\rContent-Length: 45\r\n")),
    refused("NUL in a value", get(HOST + b"X: a\0b\r\n")),
    refused("NUL in a name", get(HOST + b"X\0: a\r\n")),
    refused("a control character in a value", get(HOST + b"X: a\x01b\r\n")),
    refused("a header that begins with white space", b"GET /healthz HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n"),
    refused("a folded header", get(HOST + b"X: a\r\n b\r\n")),
    refused("a header without a name", get(HOST + b": a\r\n")),
    refused("a header without a colon", get(HOST + b"nonsense\r\n")),
    refused("white space in a name", get(HOST + b"X Y: a\r\n")),
    refused("letters beyond ASCII in a name", get(HOST + "Ä: a\r\n".encode())),
    refused("a huge header", get(HOST + b"X: " + b"a" * 100_000 + b"\r\n"), 431),
    refused("very many headers", get(HOST + b"".join(b"X-%d: a\r\n" % number for number in range(10_000))), 431),
    harmless("bytes that are no UTF-8 in a value", get(HOST + b"X: \xff\xfe\r\n")),
    harmless("an expectation that is unknown", get(HOST + b"Expect: miracles\r\n")),
    refused("an expectation of a length beyond the limit",
            post(b"Content-Length: 99999999\r\nExpect: 100-continue\r\n", b""), 413),
    refused("a compressed bomb",
            post(b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb := gzip.compress(bytes(10**7))), bomb),
            415),
    refused("an unknown compression", post(SIZED + b"Content-Encoding: xyz\r\n", CHAT), 415),
]  # fmt: skip

PLACES = [
    refused("no host", get(b"")),
    refused("two hosts", get(HOST + HOST)),
    refused("two different hosts", get(HOST + b"Host: evil.example\r\n")),
    refused("a foreign host", get(b"Host: evil.example\r\n"), 403),
    refused("a foreign host behind a user", get(b"Host: 127.0.0.1@evil.example\r\n"), 403),
    refused("a host with a path", get(b"Host: evil.example/127.0.0.1\r\n"), 403),
    refused("a host with a broken bracket", get(b"Host: [::1\r\n"), 403),
    refused("a host with white space", get(b"Host: 127.0.0.1 evil.example\r\n"), 403),
    refused("a list of hosts", get(b"Host: 127.0.0.1, evil.example\r\n"), 403),
    refused("a target of another host", get(target=b"http://evil.example/healthz")),
    refused("a target with a user", get(target=b"http://127.0.0.1@evil.example/healthz")),
    refused("a target of another scheme", get(target=b"ftp://127.0.0.1/healthz")),
    refused("a target with a wrong port", get(target=b"http://127.0.0.1:99999/healthz")),
    refused("a target that begins with a host", get(target=b"evil.example/healthz")),
    harmless("a target of the same host", get(target=b"http://127.0.0.1/healthz")),
    harmless("a target that begins with two slashes", get(target=b"//evil.example/healthz"), 404),
    harmless("a target with steps upward", get(target=b"/v1/../../etc/passwd"), 404),
    harmless("a target with hidden steps upward", get(target=b"/v1/models/..%2f..%2fhealthz"), 404),
    harmless("a target with a hidden line end", get(target=b"/x%0d%0aX-Evil:%201"), 404),
    harmless("a target with bytes that are no UTF-8", get(target=b"/%ff%fe"), 404),
    refused("a tunnel", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
    refused("a tunnel to ourselves", b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n" + INNER),
    refused("options of the server", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
    last("an upgrade to HTTP/2", get(HOST + H2C) + INNER),
    last("an upgrade to HTTP/2 with a body", post(SIZED + H2C, CHAT) + INNER, asked=1),
    last("an upgrade to HTTP/2 with chunks", post(b"Transfer-Encoding: chunked\r\n" + H2C, CHUNKS) + INNER, asked=1),
    last("an upgrade to HTTP/2 with the preface behind it", get(HOST + H2C) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    last("an upgrade to a web socket", get(HOST + WEBSOCKET) + INNER),
    last("an upgrade to a web socket with a body", post(SIZED + WEBSOCKET, CHAT) + INNER, asked=1),
    last("an upgrade to TLS", get(HOST + b"Connection: upgrade\r\nUpgrade: TLS/1.0\r\n") + INNER),
    last("an upgrade to one of several", get(HOST + b"Connection: upgrade\r\nUpgrade: h2c, websocket\r\n") + INNER),
    harmless("an upgrade that the header Connection does not name", get(HOST + b"Upgrade: h2c\r\n")),
    harmless("a connection that names no upgrade", get(HOST + b"Connection: Upgrade\r\n")),
]  # fmt: skip

LINES = [
    Attack("HTTP/0.9", b"GET /healthz\r\n\r\n", (400,), dripped=(505,)),
    Attack("HTTP/0.9 by name", get(version=b"HTTP/0.9"), (400,), dripped=(505,)),
    Attack("HTTP/2.0 by name", get(version=b"HTTP/2.0"), (400,), dripped=(505,)),
    refused("HTTP/1.2", get(version=b"HTTP/1.2")),
    refused("HTTP/1.10", get(version=b"HTTP/1.10")),
    refused("a version in small letters", get(version=b"http/1.1")),
    refused("another protocol", get(version=b"ICY/1.1")),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)),
    refused("a handshake of TLS", TLS_HELLO),
    refused("garbage", b"\x00\xff\xfe garbage \x80\r\n\r\n"),
    refused("a line of nothing", b"  \r\n\r\n"),
    refused("a line without end", b"A" * 200_000),
    refused("a target without end", get(target=b"/" + b"a" * 200_000), 414),
    refused("a target with white space", get(target=b"/healthz x")),
    refused("a target with NUL", get(target=b"/health\0z")),
    refused("tabs in the line", b"GET\t/healthz\tHTTP/1.1\r\n" + HOST + b"\r\n"),
    refused("a space before the method", b" GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    refused("a method with a colon", b"GE:T /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    refused("a method in small letters", b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    refused("a method that nobody knows", b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n"),
    harmless("a method that nobody serves", b"DELETE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    harmless("empty lines before the line", b"\r\n\r\n" + get()),
]

ATTACKS = [*LENGTHS, *CODINGS, *CHUNKINGS, *HEADERS, *PLACES, *LINES]
