"""One connection: writes requests, and passes what llhttp parses to the answers."""

from __future__ import annotations

import asyncio
from typing import cast

from httptools import HttpParserError, HttpParserInvalidStatusError, HttpResponseParser

from localagent import LocalAgentError
from localagent.timing import PhaseTimer
from localagent_connect_aiohttp import check_reason, check_size, ends_after_stream, inflater_for, is_stale, kept_for
from localagent_connect_fast.answer import FastAnswer
from localagent_connect_fast.errors import closed, cut_body, cut_head, no_http
from localagent_connect_fast.framing import QUIET, checked, ends_with_connection, values
from localagent_connect_fast.heads import Head
from localagent_connect_fast.origins import Origin
from localagent_connect_fast.pool import Pool

PIECE = 64 * 1024
_H = ord("H")


class Connection(asyncio.BufferedProtocol):
    """A connection; carries one request at a time.

    Args:
        origin: The server that it connects to.
        pool: The pool that it belongs to.

    Attributes:
        kept_since: Time by the loop's clock at which it was last returned to the pool.
        reused: Whether it had served a request before the current one.
        heard: Whether a byte of the answer to the last request has arrived; interim answers do not count.
        broken: Whether the peer has ended it.
        reading_paused: Whether reading is paused until the reader catches up.
    """

    def __init__(self, origin: Origin, pool: Pool) -> None:
        self.origin = origin
        self.loop = pool.loop
        self.kept_since = 0.0
        self.reused = False
        self.heard = False
        self.broken = False
        self.reading_paused = False
        self._pool = pool
        self._answer: FastAnswer | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._writing_paused = False
        self._lenient = False
        self._buffer = pool.buffer()
        self._ready()

    def _ready(self) -> None:
        if self._lenient:
            self._be_lenient(False)
        self.heard = False
        self._pairs: list[tuple[bytes, bytes]] = []
        self._quiet = 0
        self._encodings: list[str] = []
        self._headers = 0
        self._complete = self._keep = self._more = self._to_the_end = False

    # Requests

    async def exchange(self, answer: FastAnswer, head: Head, body: bytes | None, phases: PhaseTimer) -> None:
        """Send a request; return once the head of the answer has arrived.

        Raises:
            LocalAgentError: The head did not arrive, or is not valid.
        """
        self._ready()
        self._answer = answer
        try:
            if body is None:
                self._transport.write(head.bare)
            elif len(body) <= PIECE:
                self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head.start, len(body), body))
            else:
                await self._write(answer, head, body)
                phases.enter("first_token")
            while not answer.status and answer.error is None:
                answer.waiter = waiter = self.loop.create_future()
                await waiter
            if not answer.status and answer.error is not None:
                raise answer.error
            if b"content-encoding" in answer.headers.fields:
                answer.inflater = inflater_for(self._encodings)
        except BaseException:  # a cancellation or an internal error: the connection is in an unknown state
            answer.abort()
            raise

    async def _write(self, answer: FastAnswer, head: Head, body: bytes) -> None:
        """Write a large body, until it is written or an answer arrives before its end."""
        self._transport.write(b"%bContent-Length: %d\r\n\r\n" % (head.start, len(body)))
        view = memoryview(body)
        for start in range(0, len(view), PIECE):
            while self._writing_paused and not answer.status and answer.error is None:
                answer.waiter = waiter = self.loop.create_future()
                await waiter
            if answer.status or answer.error is not None:
                self._writing_paused = True  # for good: the rest will never be written
                return
            self._transport.write(view[start : start + PIECE])
        while self._writing_paused and not answer.status and answer.error is None:
            answer.waiter = waiter = self.loop.create_future()
            await waiter

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the connection."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's class does not inherit from it
        # Paused whenever any byte is unwritten, which shows at no cost whether a request is fully written.
        # asyncio's TLS compares differently, and with 0 would be paused all the time.
        transport.set_write_buffer_limits(high=1 if self.origin.tls else 0, low=0)
        self._pool.made(self)

    def pause_writing(self) -> None:
        """Note that some bytes are not written yet."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Continue writing, unless it was given up."""
        answer = self._answer
        if answer is not None and answer.status:
            return
        self._writing_paused = False
        if answer is not None:
            answer.wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for received bytes."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Parse the received bytes; wake the reader if it has enough now."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None:
            self.abort()  # no request was sent
            return
        if not self.heard:
            self.heard = True
            if self._buffer[0] != _H:  # llhttp would accept RTSP, too
                self.give_up(no_http(begun=False))
                return
        self._quiet += size
        try:
            parser.feed_data(self._buffer[:size])
        except HttpParserError as error:
            self.give_up(no_http(begun=_has_begun(error)))  # also for bytes after a complete answer
            return
        if self._complete:
            self._finish(answer)
        elif self._quiet > QUIET:
            self.give_up(no_http(begun=True))
        elif answer.status and answer.size >= answer.wanted:
            self._enough(answer)

    def _enough(self, answer: FastAnswer) -> None:
        """Wake the reader; pause reading while too many bytes wait for it."""
        if answer.size >= answer.mark and not self.reading_paused:
            self.reading_paused = True
            self._transport.pause_reading()
        if answer.waiter is not None:
            answer.wake()

    def eof_received(self) -> None:
        """Handle the end of the peer's data."""
        self._gone(None)
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the connection."""
        self._gone(error)
        self._pool.lost(self)
        self._parser = None

    def _gone(self, error: Exception | None) -> None:
        self.broken = True
        self._pool.useless(self)
        answer = self._answer
        if answer is None:
            return
        if answer.status:
            if self._to_the_end and error is None:
                self._more = True
                self._finish(answer)
            else:
                self.give_up(cut_body())
        else:
            self.give_up(cut_head() if self.heard and error is None else closed(stale=self.reused and not self.heard))

    # Called by llhttp

    def on_message_begin(self) -> None:
        """Note if a message follows the answer."""
        if self._complete:
            self._more = True

    def on_status(self, reason: bytes) -> None:
        """Check the reason phrase."""
        check_reason(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are counted and otherwise ignored."""
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head; an interim answer is skipped."""
        parser, answer = self._parser, self._answer
        assert parser is not None
        if answer is None or self._complete:
            return
        status = parser.get_status_code()
        headers = checked(self._pairs, parser.get_http_version(), status, self._quiet)
        if status < 200:
            self._pairs = []
            self.heard = False  # no byte of the final answer has arrived yet
            return
        self._headers = len(self._pairs)
        if b"transfer-encoding" in headers.fields:
            self._be_lenient(True)
        if b"content-encoding" in headers.fields:
            self._encodings = values(self._pairs, b"content-encoding")
        self._to_the_end = ends_with_connection(headers, status)
        if b"keep-alive" in headers.fields and (seconds := kept_for(headers["keep-alive"])) is not None:
            self._pool.keep_no_longer(seconds)
        answer.headers = headers
        answer.status = status

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        answer = self._answer
        if answer is not None and not self._complete:
            self._quiet = 0
            answer.parts.append(data)
            answer.size += len(data)

    def on_message_complete(self) -> None:
        """Note that the answer has ended, unless it was an interim one."""
        if self._answer is not None and self._answer.status and self._parser is not None:
            if len(self._pairs) > self._headers:
                check_size(self._pairs, QUIET)
            self._complete = True
            headers = self._answer.headers
            ends = b"transfer-encoding" in headers.fields and ends_after_stream(headers)
            self._keep = self._parser.should_keep_alive() and not ends

    def _be_lenient(self, lenient: bool) -> None:
        """Read chunks and trailers as leniently as aiohttp: real servers send odd ones, and they are not ambiguous."""
        self._lenient = lenient
        if self._parser is not None:
            self._parser.set_dangerous_leniencies(
                lenient_headers=lenient,
                lenient_optional_cr_before_lf=lenient,
                lenient_spaces_after_chunk_size=lenient,
            )

    # The end

    def _finish(self, answer: FastAnswer) -> None:
        """Return the connection to the pool if its state is certain, otherwise close it; wake the reader."""
        self._answer = None
        if self._keep and not (self._more or self._writing_paused or self.broken):
            if self.reading_paused:
                self.read_on()
            self._pool.keep(self)
        else:
            self._transport.abort()
        answer.leave(None)

    def is_stale(self) -> bool:
        """Return whether it must not be used again; see ``localagent_connect_aiohttp.is_stale``."""
        return is_stale(self._transport)

    def read_on(self) -> None:
        """Resume reading."""
        self.reading_paused = False
        self._transport.resume_reading()

    def give_up(self, error: LocalAgentError) -> None:
        """Close at once; the reader gets the error."""
        answer, self._answer = self._answer, None
        self._transport.abort()
        if answer is not None:
            answer.leave(error)

    def abort(self) -> None:
        """Close at once."""
        self.give_up(closed())


def _has_begun(error: HttpParserError) -> bool:
    """Whether the very first bytes were HTTP."""
    return not (isinstance(error, HttpParserInvalidStatusError) or "Expected HTTP/" in str(error))
