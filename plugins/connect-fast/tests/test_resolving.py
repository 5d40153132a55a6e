"""Names to addresses."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from localagent_connect_fast import Resolver

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


class System:
    """Stands in for ``socket.getaddrinfo``, which the event loop asks in a thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self.answer)

    def answer(self, *args: Any, **named: Any) -> Any:
        self.asked += 1
        return FOUND


@pytest.mark.parametrize(("host", "place"), [("127.0.0.1", ("127.0.0.1", 80)), ("::1", ("::1", 80, 0, 0))])
async def test_an_ip_address_is_its_own_answer(host: str, place: tuple[Any, ...]) -> None:
    """Nobody is asked for it."""
    (address,) = Resolver().known(host, 80) or ()
    assert address[4] == place


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_hidden_spellings_of_addresses_are_no_names(host: str) -> None:
    """A number that some resolvers read as an address is not looked up."""
    resolver = Resolver()
    assert resolver.known(host, 80) is None
    with pytest.raises(socket.gaierror):
        await resolver.resolve(host, 80)


async def test_who_asks_at_the_same_time_shares_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty who want the same name ask once, and the answer is kept."""
    system, resolver = System(monkeypatch), Resolver()
    assert await asyncio.gather(*(resolver.resolve("a.test", 80) for _ in range(20))) == [FOUND] * 20
    assert (system.asked, resolver.known("a.test", 80)) == (1, FOUND)


async def test_answers_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time an answer is not known any more."""
    System(monkeypatch)
    resolver = Resolver(keep=0.0)
    await resolver.resolve("a.test", 80)
    assert resolver.known("a.test", 80) is None


async def test_an_answer_can_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be reached is asked for again; an address that was never looked up is not."""
    System(monkeypatch)
    resolver = Resolver()
    await resolver.resolve("a.test", 80)
    assert (resolver.forget("a.test", 80), resolver.forget("127.0.0.1", 80)) == (True, False)
    assert resolver.known("a.test", 80) is None


async def test_who_leaves_takes_nobody_with_him(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two who wait is cancelled; the other gets the answer."""
    System(monkeypatch)
    resolver = Resolver()
    first, second = (asyncio.ensure_future(resolver.resolve("a.test", 80)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == FOUND
    assert first.cancelled()
