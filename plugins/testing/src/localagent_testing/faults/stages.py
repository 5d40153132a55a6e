"""The set-ups around a call in which faults happen: one async context manager for each.

A set-up that this machine cannot arrange raises ``CannotShow`` with the reason.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import TypeAlias

import attrs

from localagent_testing.authority import Authority
from localagent_testing.fault_server import FaultServer
from localagent_testing.faults.dialects import DIALECTS
from localagent_testing.faults.records import Fault, ProtocolName, Scene
from localagent_testing.faults.resolver import SILENT, UNKNOWN, stub_resolver
from localagent_testing.http_bytes import answer
from localagent_testing.steps import ReadRequest, Send

BACKLOG_FILLERS = 8
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")


class CannotShow(Exception):
    """This machine cannot show the fault; the message says why."""


@attrs.frozen
class Stage:
    """The set-up of a call.

    Attributes:
        url: Address of the server, without the protocol's own part.
        server: The server, if it is ours.
        second: A server that must not be contacted.
        authority: The certificate authority that the call should trust.
        pool_limit: Connections that the call may open at a time.
        during: Makes a context manager that is entered only while the call runs.
    """

    url: str
    server: FaultServer | None = None
    second: FaultServer | None = None
    authority: Path | None = None
    pool_limit: int = 8
    during: Callable[[], AbstractContextManager[object]] = nullcontext


SetUp: TypeAlias = Callable[[Fault, ProtocolName], AbstractAsyncContextManager[Stage]]


def _server(
    fault: Fault,
    protocol: ProtocolName,
    *,
    elsewhere: str = "",
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> FaultServer:
    if fault.script is None:
        raise ValueError(f"{fault.id} has no script for the server of its set-up {fault.setup!r}")
    return FaultServer(fault.script(Scene(DIALECTS[protocol], elsewhere)), tls=tls, receive_buffer=receive_buffer)


@asynccontextmanager
async def server(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Start the server and nothing else."""
    async with _server(fault, protocol) as ours:
        yield Stage(ours.url, ours)


@asynccontextmanager
async def second_host(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Start a second server, which would answer well."""
    good = (ReadRequest(), Send(answer(200, DIALECTS[protocol].completion())))
    async with FaultServer(good) as second, _server(fault, protocol, elsewhere=second.url) as ours:
        yield Stage(ours.url, ours, second)


@asynccontextmanager
async def proxy_variables(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Name a second server as the proxy in the environment."""
    async with FaultServer(()) as second, _server(fault, protocol) as ours:
        none: dict[str, str | None] = dict.fromkeys(NO_PROXY_VARIABLES)
        with _environment(none | dict.fromkeys(PROXY_VARIABLES, second.url)):
            yield Stage(ours.url, ours, second)


@asynccontextmanager
async def small_window(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Let the system buffer only a few bytes that the server does not read."""
    async with _server(fault, protocol, receive_buffer=4096) as ours:
        yield Stage(ours.url, ours)


@asynccontextmanager
async def one_connection(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Allow the call one connection."""
    async with _server(fault, protocol) as ours:
        yield Stage(ours.url, ours, pool_limit=1)


@asynccontextmanager
async def https_to_plain(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Use an https address for a server with plain HTTP."""
    async with _server(fault, protocol) as ours:
        yield Stage(ours.url.replace("http:", "https:"), ours)


def certificate(issue: Callable[[Authority], ssl.SSLContext]) -> SetUp:
    """Return a set-up whose server has a bad certificate; the call trusts the authority that should have issued it."""

    @asynccontextmanager
    async def bad_certificate(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
        authority = Authority()
        with authority.file() as path:
            async with _server(fault, protocol, tls=issue(authority)) as ours:
                yield Stage(ours.url, ours, authority=path)

    return bad_certificate


@asynccontextmanager
async def no_descriptors(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Leave the process no free file descriptor while the call runs."""
    async with _server(fault, protocol) as ours:
        yield Stage(ours.url, ours, during=_no_free_descriptor)


@asynccontextmanager
async def unknown_name(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Use an address with a name that does not exist."""
    with stub_resolver({"unknown.invalid": UNKNOWN}):
        yield Stage("http://unknown.invalid:9")


@asynccontextmanager
async def silent_resolver(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Use an address with a name that is never resolved."""
    with stub_resolver({"silent.invalid": SILENT}):
        yield Stage("http://silent.invalid:9")


@asynccontextmanager
async def no_listener(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Reserve a port on which nothing listens."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield Stage(_url(kept))


@asynccontextmanager
async def silent_peer(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Let the system accept connections that are never read."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield Stage(_url(listener))


@asynccontextmanager
async def full_backlog(fault: Fault, protocol: ProtocolName) -> AsyncIterator[Stage]:
    """Fill a listener's backlog, so that the system lets further connections wait.

    Raises:
        CannotShow: The system accepts any number of connections.
    """
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [sockets.enter_context(socket.socket()) for _ in range(BACKLOG_FILLERS)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        if len(select.select([], fillers, [], 0)[1]) == len(fillers):
            raise CannotShow("the system connects more clients than a listener's backlog holds")
        yield Stage(_url(listener))


SET_UPS: dict[str, SetUp] = {
    "server": server,
    "second host": second_host,
    "proxy variables": proxy_variables,
    "small window": small_window,
    "one connection": one_connection,
    "https to plain": https_to_plain,
    "certificate expired": certificate(Authority.expired),
    "certificate wrong host": certificate(Authority.wrong_host),
    "certificate self-signed": certificate(Authority.self_signed),
    "certificate unknown authority": certificate(Authority.stranger),
    "no descriptors": no_descriptors,
    "unknown name": unknown_name,
    "silent resolver": silent_resolver,
    "no listener": no_listener,
    "silent peer": silent_peer,
    "full backlog": full_backlog,
}


def stage(fault: Fault, protocol: ProtocolName) -> AbstractAsyncContextManager[Stage]:
    """Return the context manager of a fault's set-up; entering it returns the ``Stage``."""
    return SET_UPS[fault.setup](fault, protocol)


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _environment(changes: dict[str, str | None]) -> Iterator[None]:
    """Set variables of the environment, or remove those with None; undo it at the end."""
    before = {name: os.environ.get(name) for name in changes}
    _set_variables(changes)
    try:
        yield
    finally:
        _set_variables(before)


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _no_free_descriptor() -> Iterator[None]:
    """Lower the limit of descriptors to those that are in use.

    Raises:
        CannotShow: The system has no such limit.
    """
    try:
        import resource
    except ImportError:
        raise CannotShow("the system has no limit of descriptors that a process can lower") from None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
