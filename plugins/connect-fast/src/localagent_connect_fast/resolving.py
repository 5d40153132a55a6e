"""Resolves names to addresses; results are cached, and concurrent lookups of a name share one query."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any, TypeAlias

from localagent.timing import Forks, resolve_name
from localagent_connect_fast.origins import ip_of

#: As returned by ``socket.getaddrinfo``.
Addresses: TypeAlias = list[tuple[int, int, int, str, Any]]

_NUMBERS = re.compile(r"[0-9.]+|0[xX][0-9a-fA-FxX.]*")


class Resolver:
    """Resolves the names of one event loop.

    Args:
        keep: Seconds that the addresses of a name are cached.
    """

    def __init__(self, keep: float = 30.0) -> None:
        self._keep = keep
        self._forks = Forks.count
        self._known: dict[tuple[str, int], tuple[float, Addresses]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[Addresses]] = {}

    def known(self, host: str, port: int) -> Addresses | None:
        """Return the addresses of a host without a lookup, or None."""
        ip = ip_of(host)
        if ip is not None:
            family, place = (socket.AF_INET, (host, port)) if ip.version == 4 else (socket.AF_INET6, (host, port, 0, 0))
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]
        until, addresses = self._known.get((host, port), (0.0, []))
        return addresses if asyncio.get_running_loop().time() < until else None

    def forget(self, host: str, port: int) -> bool:
        """Drop the cached addresses of a name that did not answer; return whether there were any."""
        return self._known.pop((host, port), None) is not None

    async def resolve(self, host: str, port: int) -> Addresses:
        """Look a name up in the system; concurrent calls for the same name get the same result.

        Raises:
            OSError: There is no such name.
        """
        if _NUMBERS.fullmatch(host):  # an IP address in a spelling that hides its destination
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        if self._forks != Forks.count:
            self._forks, self._asking = Forks.count, {}  # these belong to the parent's event loop
        key = host, port
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(*key), name=f"resolve {host}")
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    async def _ask(self, host: str, port: int) -> Addresses:
        return await resolve_name(host, port, type=socket.SOCK_STREAM)

    def _asked(self, key: tuple[str, int], done: asyncio.Task[Addresses]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled() and done.exception() is None:
            self._known[key] = done.get_loop().time() + self._keep, done.result()

    async def aclose(self) -> None:
        """Stop all lookups."""
        if self._forks == Forks.count and (tasks := list(self._asking.values())):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
