"""What the attacks do: each takes a stage, does its worst, and returns what it was answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import attrs

MEBIBYTE = 1024 * 1024
CHAT = "/v1/chat/completions"
MESSAGES = '"messages":[{"role":"user","content":"Hi"}]'
READER_BUFFER = 65536


@attrs.frozen
class Stage:
    """Where an attack is played.

    Attributes:
        host: The gateway's address.
        port: Its port.
        size: A factor for what is sent: 1 is the whole attack.
        key: A good key; empty where none is needed.
    """

    host: str
    port: int
    size: float
    key: str = ""

    def mebibytes(self, count: int) -> int:
        """Return so many MiB in bytes, scaled."""
        return int(count * MEBIBYTE * self.size)

    def count(self, count: int) -> int:
        """Return a count, scaled."""
        return max(2, int(count * self.size))

    @contextlib.asynccontextmanager
    async def connected(self, sent: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect and send."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=READER_BUFFER)
        try:
            writer.write(sent)
            yield reader, writer
        finally:
            writer.transport.abort()

    def head(self, path: str, length: int, *, key: str = "") -> bytes:
        """Return the head of a request."""
        shown = f"x-api-key: {key}\r\n" if key else ""
        return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n{shown}\r\n".encode()

    async def ask(self, path: str, body: bytes) -> int:
        """Send a request, whole or until it is answered; return the status, and read the answer to its end."""
        async with self.connected(self.head(path, len(body), key=self.key)) as (reader, writer):
            sending = asyncio.create_task(_send(writer, body))
            try:
                return await _status(reader)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def chat(self, **fields: Any) -> int:
        """Ask a model."""
        return await self.ask(CHAT, json.dumps({"messages": [{"role": "user", "content": "Hi"}], **fields}).encode())


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(body), MEBIBYTE):
            writer.write(body[start : start + MEBIBYTE])
            await writer.drain()


async def _status(reader: asyncio.StreamReader) -> int:
    """Return an answer's status, 0 for none; the body is read and forgotten."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
        ending = b"" if length is not None else b"0\r\n\r\n"
        read = 0
        while length is None or read < length:
            part = await reader.read(READER_BUFFER)
            read += len(part)
            if not part or (ending and part.endswith(ending)):
                break
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0
    return int(head.split()[1])


Outcome = Counter[int]
Play = Callable[[Stage], Awaitable[Outcome]]


def body(path: str, make: Callable[[Stage], bytes], model: str = "up/m") -> Play:
    """Return an attack by one body."""

    async def play(stage: Stage) -> Outcome:
        return Counter([await stage.ask(path, make(stage).replace(b"MODEL", model.encode(), 1))])

    return play


def fields(inner: Callable[[Stage], Iterable[bytes]], brackets: bytes = b"[]") -> Callable[[Stage], bytes]:
    """Return what makes a chat with one more field, a list or an object of many."""

    def make(stage: Stage) -> bytes:
        held = b",".join(inner(stage))
        return b'{"model":"MODEL",%b,"x":%b%b%b}' % (MESSAGES.encode(), brackets[:1], held, brackets[1:])

    return make


def many(value: bytes) -> Callable[[Stage], Iterable[bytes]]:
    """Return what fills 31 MiB with one value."""
    return lambda stage: [value] * (stage.mebibytes(31) // (len(value) + 1))


def names(stage: Stage) -> Iterable[bytes]:
    """Return fields of different names, 31 MiB of them."""
    return (b'"%d":1' % number for number in range(stage.mebibytes(31) // 11))


def prompt(text: bytes) -> Callable[[Stage], bytes]:
    """Return what makes a chat whose only message repeats a text up to 31 MiB."""

    def make(stage: Stage) -> bytes:
        said = text * (stage.mebibytes(31) // len(text))
        return b'{"model":"MODEL","messages":[{"role":"user","content":"%b"}]}' % said

    return make


def blocks(stage: Stage) -> bytes:
    """Return a message of Anthropic's API with very many blocks of content."""
    held = b",".join([b'{"type":"text","text":"a"}'] * (stage.mebibytes(31) // 27))
    return b'{"model":"MODEL","max_tokens":9,"messages":[{"role":"user","content":[%b]}]}' % held


def as_many_blocks_as_pass(stage: Stage) -> bytes:
    """Return the same with as many as are let in."""
    held = b",".join([b'{"type":"text","text":"a"}'] * 11_500)
    return b'{"model":"MODEL","max_tokens":9,"messages":[{"role":"user","content":[%b]}]}' % held


def tool_answers(stage: Stage) -> bytes:
    """Return a conversation of Ollama's API whose tools answer what nobody asked, in the number that is let in."""
    calls = b",".join([b'{"function":{"name":"a"}}'] * 5_000)
    answers = b",".join([b'{"role":"tool","tool_name":"b","content":"x"}'] * 4_000)
    spoken = b'{"role":"assistant","content":"","tool_calls":[%b]},%b' % (calls, answers)
    return b'{"model":"MODEL","stream":false,"messages":[%b]}' % spoken


def long_name(stage: Stage) -> bytes:
    """Return a chat with a model whose name takes 31 MiB."""
    return b'{"model":"%b",%b}' % (b"m" * stage.mebibytes(31), MESSAGES.encode())


async def nothing(stage: Stage) -> Outcome:
    """Ask a little, as a measure of how long others wait for the machine itself."""
    found = Counter[int]()
    for _ in range(stage.count(300)):
        found[await stage.chat()] += 1
    return found


async def long_names(stage: Stage) -> Outcome:
    """Ask 300 times for a model, by another name of 1 MB each time."""
    found = Counter[int]()
    for number in range(stage.count(300)):
        found[await stage.chat(model=f"up/{number}" + "m" * 1_000_000)] += 1
    return found


async def short_names(stage: Stage) -> Outcome:
    """Ask for many models by names that are as long as they may be."""
    found = Counter[int]()
    for number in range(stage.count(5_000)):
        found[await stage.chat(model=f"up/{number}".ljust(256, "m"))] += 1
    return found


async def unfinished_bodies(stage: Stage) -> Outcome:
    """Send 60 bodies of 31 MiB except for their last byte, without a key, and keep all of them open."""
    length = stage.mebibytes(31)
    found = Counter[int]()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(stage.count(60)):
            reader, writer = await stack.enter_async_context(stage.connected(stage.head(CHAT, length)))
            sending = asyncio.create_task(_send(writer, b" " * (length - 1)))
            answer = asyncio.create_task(_status(reader))
            await asyncio.wait([sending, answer], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await asyncio.wait([answer], timeout=0.05)
            found[answer.result() if answer.done() else -1] += 1
            stack.push_async_callback(_end, sending, answer)
        found[await stage.chat()] += 1
    return found


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def idle_connections(stage: Stage) -> Outcome:
    """Open 100 connections and send nothing; then ask with a good key."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(stage.connected())
        return Counter([await stage.chat()])


async def stopped_readers(stage: Stage) -> Outcome:
    """Ask for answers of 30 MB on two connections and read none of them; 0 is one that was cut."""
    sent = json.dumps({"model": "up/large", "messages": [{"role": "user", "content": "Hi"}]}).encode()

    async def one() -> int:
        async with stage.connected(stage.head(CHAT, len(sent), key=stage.key) + sent) as (reader, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(5)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            return await _whole_or_cut(reader)

    return Counter(await asyncio.gather(*(one() for _ in range(2))))


async def _whole_or_cut(reader: asyncio.StreamReader, rate: int | None = None) -> int:
    """Read an answer of a known length; return its status, or 0 when it was cut."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    try:
        while length > 0:
            part = await reader.read(READER_BUFFER)
            if not part:
                return 0
            length -= len(part)
            if rate is not None:
                await asyncio.sleep(len(part) / rate)
    except ConnectionError:
        return 0
    return int(head.split()[1])


async def steady_reader(stage: Stage) -> Outcome:
    """Read an answer of 30 MB at 5 MB a second, for longer than ``send_timeout``."""
    sent = json.dumps({"model": "up/large", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    async with stage.connected(stage.head(CHAT, len(sent), key=stage.key) + sent) as (reader, _):
        return Counter([await _whole_or_cut(reader, 5_000_000)])


def model(name: str, *, stream: bool) -> Play:
    """Return an attack by the upstream, of which a model's name is all that is said."""

    async def play(stage: Stage) -> Outcome:
        return Counter([await stage.chat(model=f"up/{name}", stream=stream)])

    return play
