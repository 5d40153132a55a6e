"""A model server in a process of its own that is made to be killed: it logs the id of a request before it works on it.

``python id_logging_server.py PORT LOG``; it prints a line when it listens. SIGUSR1 makes it break all its connections
and print another line. Standard library only, so that it starts soon.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

WORK = 0.004
connections: set[asyncio.WriteTransport] = set()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    """Return a chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return framed(b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n")


def framed(data: bytes) -> bytes:
    """Return data as a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: int) -> None:
    """Answer the requests of one connection."""
    connections.add(writer.transport)
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            os.write(log, headers["x-attempt"].encode() + b"\n")
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            await asyncio.sleep(WORK)
            await answer(writer, number=headers["x-attempt"], stream=bool(body.get("stream")))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
    finally:
        connections.discard(writer.transport)


def drop() -> None:
    """Break all connections."""
    for transport in list(connections):
        transport.abort()
    sys.stdout.write("dropped\n")
    sys.stdout.flush()


async def answer(writer: asyncio.StreamWriter, *, number: str, stream: bool) -> None:
    """Say the id of the request."""
    if stream:
        writer.write(CHUNKED + event({"role": "assistant", "content": number}))
        await writer.drain()
        await asyncio.sleep(WORK)
        writer.write(event({}, "stop") + framed(b"data: [DONE]\n\n") + framed(b""))
    else:
        message = {"role": "assistant", "content": number}
        data = json.dumps({"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data)
        writer.write(head + data)
    await writer.drain()


async def main(port: int, path: str) -> None:
    """Listen until killed."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, log), "127.0.0.1", port)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, drop)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
