"""A transport without a socket that costs next to nothing, and plugins that bring a transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localagent import Instance, Plugin, Transport, hookimpl
from localagent.timing import PhaseTimer


class MemoryAnswer:
    """An answer whose parts are there already; see ``localagent.records.transport.HttpAnswer``."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = iter(parts)
        self._left = len(parts)

    @property
    def ended(self) -> bool:
        return self._left <= 0

    async def read_chunk(self) -> bytes:
        self._left -= 1
        return next(self._parts, b"")

    async def read(self, cap: int | None = None) -> bytes:
        self._left = 0
        return b"".join(self._parts)[:cap]

    def abort(self) -> None:
        self._left = 0

    async def aclose(self) -> None:
        self._left = 0


class MemoryTransport:
    """Answers every request with the same parts; see ``localagent.records.transport.Transport``."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> MemoryAnswer:
        phases.enter("first_token")
        return MemoryAnswer(self._parts)

    async def aclose(self) -> None:
        """Nothing to close."""


def bringing(transport: Transport) -> type[Plugin]:
    """Return a plugin that connects every instance by this transport."""

    class Connects(Plugin):
        name = "connect-memory"

        @hookimpl
        async def connect(self, instance: Instance) -> Transport:
            return transport

    return Connects
