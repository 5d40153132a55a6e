"""One child process that serves one model: manages its pipes, its report and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Self, cast

from localagent.supervision import ending
from localagent_provider_llamacpp.environment import for_child
from localagent_provider_llamacpp.forks import let_go_in_copies
from localagent_provider_llamacpp.log_tail import LogTail

GRACE = 2.0  # seconds that the child has to exit before it is killed
LONGEST_LINE = 65_536  # the most bytes of a log line that are buffered before its end


class ModelProcess:
    """One child process, owned through the pipe that is its standard input; an async context manager.

    The child ends itself when the last copy of that pipe's write end is closed. No program that this process starts
    inherits a copy (it is opened close-on-exec), and a forked copy of this process closes its own at once, so the
    child never outlives its owner; ``forks`` says which forks are seen.

    Args:
        order: What to load and how; see ``child.load``.
        variables: Names of environment variables that the child gets in addition to those it needs.

    Attributes:
        pid: The child's process id.
        log: The last lines of llama.cpp's log.

    Raises:
        OSError: The system cannot start another process.
    """

    def __init__(self, order: Mapping[str, Any], variables: Iterable[str] = ()) -> None:
        self.log = LogTail()
        self._ours = True
        self._order = json.dumps(order).encode() + b"\n"
        self._loop = asyncio.get_running_loop()
        self._report: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        # -P: the child must not import modules from the current folder.
        # Its own process group: signals from a terminal to its foreground group are for the owner.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "localagent_provider_llamacpp.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            env=for_child(os.environ, variables),
        )
        pipes = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        self._stdin, stdout, stderr = cast("tuple[IO[bytes], IO[bytes], IO[bytes]]", pipes)
        self._outputs = (_PipeLines(stdout, self._reported), _PipeLines(stderr, self.log.add))
        self.pid = self._popen.pid
        let_go_in_copies(self)

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            self.end_now()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def gone(self) -> bool:
        """Whether the child has ended, judging by its pipes."""
        return all(output.ended.is_set() for output in self._outputs)

    async def report(self) -> Mapping[str, Any]:
        """Return the child's report: with ``port``, with ``error``, or empty if it died before it reported."""
        return await asyncio.shield(self._report)

    async def _begin(self) -> None:
        """Begin to read the child's output, and send it its order."""
        for output in self._outputs:
            await output.connect()
        with contextlib.suppress(BrokenPipeError):  # it died already; the other pipes show it
            self._stdin.write(self._order)

    async def wait(self) -> None:
        """Return once the child is gone and its log has been read to the end."""
        for output in self._outputs:
            await output.ended.wait()
        self.end_now()

    async def aclose(self) -> None:
        """End the child: close its pipe, wait at most 2 s, then kill it if necessary. May be called again."""
        if not self._ours:
            return
        self._stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await self.wait()
        except TimeoutError:
            pass
        finally:
            self.end_now()

    def end_now(self) -> None:
        """Kill the child if it is still running, and reap it; works without a running loop."""
        if not self._ours:
            return
        self._stdin.close()
        self._popen.kill()  # does nothing if it was reaped already
        self._popen.wait()
        if not self._loop.is_closed():
            for output in self._outputs:
                output.close()

    def let_go(self) -> None:
        """Forget the child in a forked copy of its owner, so that the copy neither keeps it alive nor ends it.

        The copy's loop shares its selector with the owner's, so the other pipes are left alone.
        """
        self._ours = False
        self._stdin.close()
        self._popen.returncode = 0  # it is not a child of the copy: nothing to wait for

    def ending(self) -> str:
        """Return how the child ended, such as ``signal SIGKILL`` or ``exit status 1``."""
        return ending(self._popen.returncode or 0)

    def _reported(self, line: bytes) -> None:
        if self._report.done():
            return
        try:
            self._report.set_result(json.loads(line) if line else {})
        except ValueError:  # something else wrote to the pipe; an exception raised here would be lost
            self._report.set_result({"error": "The process's report is not JSON", "of_settings": False})


class _PipeLines(asyncio.Protocol):
    """Reads a pipe line by line; its end is reported as an empty line."""

    def __init__(self, pipe: IO[bytes], on_line: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        self.ended.set()  # before it is connected there is no end to wait for
        self._pipe = pipe
        self._on_line = on_line
        self._rest = b""
        self._transport: asyncio.BaseTransport | None = None

    async def connect(self) -> None:
        """Begin to read; from now on the loop closes the pipe, even if this is cancelled."""
        self.ended.clear()
        await asyncio.get_running_loop().connect_read_pipe(lambda: self, self._pipe)

    def close(self) -> None:
        """Stop reading. May be called again."""
        if self._transport:
            self._transport.close()
        elif self.ended.is_set():
            self._pipe.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST_LINE]
        for line in lines:
            self._on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_line(self._rest)
        self.ended.set()
