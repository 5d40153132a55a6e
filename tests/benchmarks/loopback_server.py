"""A fast server on the loopback: answers every POST with prepared bytes.

It runs in a process of its own, so that the client's CPU time is the client's alone. ``/chat`` paths get a complete
answer, requests whose body holds ``"stream":true`` get 200 events in one piece of about 64 KiB at a time.

Run as ``python loopback_server.py``; prints its port, ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys

EVENTS = 200


def whole_answer() -> bytes:
    """Return a complete HTTP answer of about 700 bytes."""
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "word " * 80}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def events() -> list[bytes]:
    """Return the 200 events of a streamed answer and its terminator."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant", "content": ""}, *[{"content": f"word{n} "} for n in range(EVENTS - 2)], {}]
    documents = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if not delta else None}]}
        for delta in deltas
    ]
    return [b"data: " + json.dumps(one, separators=(",", ":")).encode() + b"\n\n" for one in documents] + [
        b"data: [DONE]\n\n"
    ]


def streamed_answer(pieces: int) -> list[bytes]:
    """Return a chunked HTTP answer in this many pieces, the last one with the end of the body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = events()
    size = -(-len(data) // pieces)
    bodies = [b"".join(data[start : start + size]) for start in range(0, len(data), size)]
    chunks = [f"{len(body):x}\r\n".encode() + body + b"\r\n" for body in bodies]
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"] if len(chunks) > 1 else [
        head + chunks[0] + b"0\r\n\r\n"
    ]


class Server(asyncio.Protocol):
    """One connection."""

    whole = whole_answer()
    stream = streamed_answer(20)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while True:
            head, separator, rest = self.seen.partition(b"\r\n\r\n")
            if not separator:
                return
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            body, self.seen = rest[:length], rest[length:]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        """Send what the request asks for; a stream's pieces one a turn of the loop."""
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self.transport.write(self.whole)
            return
        loop = asyncio.get_running_loop()
        pieces = iter(self.stream)

        def send_next() -> None:
            piece = next(pieces, None)
            if piece is not None and not self.transport.is_closing():
                self.transport.write(piece)
                loop.call_later(0.0005, send_next)

        send_next()


async def main() -> None:
    """Serve until the standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
