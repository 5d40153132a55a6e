"""Where the gateway listens."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.errors import StartError
from localagent_gateway.http.sockets import bind
from localagent_gateway.settings import GatewaySettings

V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
OTHER = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0))
V6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))
ELSEWHERE = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", 0))  # of TEST-NET-3: no machine has it


def is_here(family: socket.AddressFamily, host: str) -> bool:
    """Whether this machine has an address."""
    with contextlib.suppress(OSError), socket.socket(family) as sock:
        sock.bind((host, 0))
        return True
    return False


NEEDS_IPV6 = pytest.mark.skipif(not is_here(socket.AF_INET6, "::1"), reason="this machine has no IPv6")
NEEDS_TWO = pytest.mark.skipif(not is_here(socket.AF_INET, "127.0.0.2"), reason="its loopback has one address only")


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every host resolve to some addresses."""

    def to(*places: Any) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **names: list(places))

    return to


@contextlib.contextmanager
def bound(**settings: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Bind, and give the addresses."""
    sockets = bind(GatewaySettings(**{"port": 0, **settings}))
    try:
        yield [sock.getsockname()[:2] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


@NEEDS_IPV6
@pytest.mark.parametrize("places", [(V4, V6), (V6, V4)], ids=["IPv4 first", "IPv6 first"])
def test_every_address_of_a_host_is_bound_with_one_port(resolves: Any, places: Any) -> None:
    """Also where the system chooses the port; clients of both families are taken in."""
    resolves(*places)
    with bound(host="localhost") as addresses:
        assert [host for host, _ in addresses] == [place[4][0] for place in places]
        assert len({port for _, port in addresses}) == 1
        for (family, *_), address in zip(places, addresses, strict=True):
            with socket.socket(family) as client:
                client.connect(address)


@NEEDS_TWO
def test_several_addresses_of_one_family_are_bound(resolves: Any) -> None:
    """Each once, however often the resolver names it."""
    resolves(V4, OTHER, V4)
    with bound(host="here.example") as addresses:
        assert [host for host, _ in addresses] == ["127.0.0.1", "127.0.0.2"]


def test_an_address_that_is_not_here_is_left_out(resolves: Any) -> None:
    """As long as another one is; a name may say that the machine has IPv6 where it is switched off."""
    resolves(ELSEWHERE, V4)
    with bound(host="here.example") as addresses:
        assert [host for host, _ in addresses] == ["127.0.0.1"]


def test_a_family_that_the_system_does_not_have_is_left_out(resolves: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without IPv6, say."""
    real = socket.socket

    def without_ipv6(family: int = -1, *args: Any, **names: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args, **names)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    resolves(V6, V4)
    with bound(host="localhost") as addresses:
        assert [host for host, _ in addresses] == ["127.0.0.1"]


def test_a_host_without_an_address_that_is_here_is_refused(resolves: Any) -> None:
    """With one sentence."""
    resolves(ELSEWHERE)
    with pytest.raises(StartError, match="cannot be used: Cannot assign requested address"), bound(host="far.example"):
        pass


def test_a_name_of_the_loopback_never_means_more(resolves: Any) -> None:
    """Without keys only this machine may ask, whatever a resolver says about localhost."""
    resolves((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 0)), V4)
    with bound(host="localhost") as addresses:
        assert [host for host, _ in addresses] == ["127.0.0.1"]


@NEEDS_TWO
def test_a_port_that_is_taken_at_one_address_is_refused(resolves: Any) -> None:
    """Nothing is half bound; what was bound is closed again."""
    resolves(V4, OTHER)
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match="Address already in use"), bound(host="here.example", port=port):
            pass
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


@NEEDS_TWO
def test_another_port_is_chosen_when_one_is_taken_at_a_later_address(
    resolves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system knows only of the address that it chose the port for."""
    resolves(V4, OTHER)
    real = socket.socket.bind
    ports = []

    def bind_second_time(self: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            ports.append(address[1])
            if len(ports) == 1:
                raise OSError(errno.EADDRINUSE, "Address already in use")
        real(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind_second_time, raising=False)
    with bound(host="here.example") as addresses:
        assert {port for _, port in addresses} == {ports[1]}


@NEEDS_IPV6
def test_the_wildcard_of_ipv6_leaves_ipv4_alone() -> None:
    """Anyone who names ``::`` means IPv6, on every system alike."""
    with bound(host="::", require_keys="always") as ((_, port),), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
