"""Attempts that carry an id to the server: a book of what was sent, and how each attempt is reported to have ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from localagent import Attempt, Client, HttpAnswer, Outcome, Plugin, Transport, hookimpl
from localagent.runtime import Runtime
from localagent.timing import PhaseTimer

HEADER = "X-Attempt"
TRANSPORTS = ("connect-aiohttp", "spare connections", "connect-fast")


class Book(Plugin):
    """Hears how attempts end.

    The class that ``new_book`` makes is one client's.
    """

    name = "metrics-book"
    ids: dict[PhaseTimer, str]
    ended: dict[str, tuple[Attempt, Outcome]]
    unsent: list[Outcome]

    @hookimpl
    def after_attempt(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note the end of an attempt, by the id that its request carried."""
        number = type(self).ids.get(attempt.phases)
        if number is None:
            type(self).unsent.append(outcome)
        else:
            assert number not in type(self).ended, "an attempt ended twice"
            type(self).ended[number] = attempt, outcome


def new_book() -> type[Book]:
    """Return an empty book."""
    return type("NewBook", (Book,), {"ids": {}, "ended": {}, "unsent": []})


class Numbering:
    """A transport that gives every request that it is handed an id; what the one behind it repeats has the same id."""

    def __init__(self, inner: Transport, book: type[Book], numbers: itertools.count[int]) -> None:
        self._inner = inner
        self._book = book
        self._numbers = numbers

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send a request with its id."""
        assert phases not in self._book.ids, "an attempt sent two requests"
        number = self._book.ids[phases] = str(next(self._numbers))
        return await self._inner.send(method, url, {**headers, HEADER: number}, body, phases)

    async def aclose(self) -> None:
        """Close the transport behind it."""
        await self._inner.aclose()


def plugins_of(transport: str, *, retry: bool) -> list[type[Plugin]]:
    """Return the plugins of a client that uses a transport, with failure-retry or without."""
    from localagent_connect_aiohttp import AiohttpConnectPlugin
    from localagent_connect_fast import FastConnectPlugin
    from localagent_failure_retry import RetryPlugin
    from localagent_provider_openai import OpenAIPlugin
    from localagent_select_least_busy import LeastBusyPlugin

    connect: dict[str, list[type[Plugin]]] = {
        "connect-aiohttp": [AiohttpConnectPlugin],
        "spare connections": [AiohttpConnectPlugin],
        "connect-fast": [FastConnectPlugin],
    }
    return [OpenAIPlugin, LeastBusyPlugin, *connect[transport], *([RetryPlugin] if retry else [])]


def client_of(
    urls: list[str], book: type[Book], transport: str, *, retry_plugin: bool = True, **settings: Any
) -> Client:
    """Return a client of servers that speak OpenAI's API."""
    given = {
        "default_model": "up/m",
        "providers": {"up": {"type": "openai", "instances": urls}},
        "health": {"enabled": False},
        "plugins": {"connect-aiohttp": {"limit": 1000, "spare": 1}} if transport == "spare connections" else {},
        **settings,
    }
    return Client(given, plugins=[*plugins_of(transport, retry=retry_plugin), book], environment={}, seed=7)


async def number_attempts(client: Client, book: type[Book]) -> Runtime:
    """Let every attempt of a client carry an id from now on."""
    runtime = await client.runtime()
    numbers = itertools.count(1)
    for instance in runtime.instances:
        transport = await runtime.fleet.connections.to(instance)
        runtime.instances.state(instance).transport = Numbering(transport, book, numbers)
    return runtime
