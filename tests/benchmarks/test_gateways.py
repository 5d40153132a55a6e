"""The proxies that the gateway is measured beside: they forward what the upstream sent, and an absent one says why."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from bench import Bench
from cases import bounds, other_gateways
from gateways import installation, litellm_proxy
from gateways.contest import Contest
from gateways.load import crowd
from gateways.nginx import nginx
from gateways.processes import LeftOut, Proxy, can_measure, listening, program
from gateways.upstream import upstream

pytestmark = pytest.mark.skipif(not can_measure(), reason="reads what Linux tells of other processes")
LOOPS = ("asyncio", "uvloop")


def ask(run: Callable[[int], AbstractContextManager[Proxy]], *, stream: bool) -> tuple[int, int, float]:
    """Ask a proxy eight times over two connections; give answers, errors, and microseconds a request."""

    async def main() -> tuple[int, int, float]:
        async with upstream() as (fake, port):
            with run(port) as proxy:
                async with crowd(proxy, fake, 2, stream=stream) as load:
                    spent = await Contest(proxy, load).contender().spend(8, 0)
                    return len(load.seconds), load.errors, spent

    return asyncio.run(main())


@contextmanager
def running(module: str, loop: str, upstream: int) -> Iterator[Proxy]:
    """Run one of the programs."""
    with program(module, module, upstream, loop) as proxy:
        yield proxy


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("module", bounds.PROGRAMS)
def test_the_bounds_forward_what_the_upstream_sent(module: str, loop: str, stream: bool) -> None:
    """Whole answers and streams, on kept connections, on every event loop."""
    pytest.importorskip("httptools")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    answers, errors, spent = ask(partial(running, module, loop), stream=stream)
    assert (answers, errors) == (8, 0)
    assert spent > 0


@pytest.mark.parametrize("stream", [False, True])
def test_nginx_forwards_what_the_upstream_sent(stream: bool) -> None:
    """Where it is installed; else it says that it is not."""
    try:
        answers, errors, _ = ask(partial(nginx, "nginx"), stream=stream)
    except LeftOut as why:
        pytest.skip(str(why))
    assert (answers, errors) == (8, 0)


def test_a_proxy_that_answers_otherwise_has_errors() -> None:
    """The load does not take another answer for the upstream's, and does not wait on a connection that is gone."""

    async def main() -> tuple[int, int]:
        async with upstream() as (fake, port):
            with program("bare_proxy", "bare", port, "asyncio") as proxy:
                wrong = proxy._replace(headers=("Content-Type: application/json", "Expect: nothing"))
                async with crowd(wrong, fake, 2) as load:
                    await load.ask(2)
                    first = load.errors
                    await asyncio.wait_for(load.ask(2), 10)
                    return first, load.errors

    assert asyncio.run(main()) == (2, 4)


def test_a_program_that_ends_at_once_is_told_with_its_words(tmp_path: Path) -> None:
    """Nobody waits for a port that nobody will open."""
    command = [sys.executable, "-c", "raise SystemExit('no such setting')"]
    with pytest.raises(RuntimeError, match="no such setting"), listening(command, 1, tmp_path):
        pass


def test_a_peer_that_cannot_be_installed_is_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are still measured; here there are no others."""

    def absent(upstream: int) -> AbstractContextManager[Proxy]:
        raise LeftOut("npm is not installed.")

    monkeypatch.setattr(other_gateways, "PEERS", (other_gateways.Peer("A gateway", absent, 1.0),))
    (row,) = asyncio.run(other_gateways.rows(Bench("", 1, peers=True)))
    assert (row.what, row.note) == ("A gateway: left out", "npm is not installed.")
    assert asyncio.run(other_gateways.rows(Bench("", 1))) == []


def test_an_installation_that_fails_says_why_in_one_sentence(tmp_path: Path) -> None:
    """The last line of what the installer said."""
    command = [sys.executable, "-c", "raise SystemExit('first\\nno route to the registry')"]
    with pytest.raises(LeftOut, match=r"could not install it: no route to the registry$"):
        installation.install(tmp_path / "made", [command])


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    """The next run finds it."""
    made = tmp_path / "made"
    command = [sys.executable, "-c", f"open({str(made)!r}, 'x').close()"]  # fails where the file exists
    installation.install(made, [command])
    installation.install(made, [command])
    assert made.exists()


def test_a_missing_tool_leaves_a_peer_out() -> None:
    """By name."""
    with pytest.raises(LeftOut, match="a-tool-that-nobody-has is not installed"):
        installation.tool("a-tool-that-nobody-has")


@pytest.mark.parametrize("release", litellm_proxy.WITHDRAWN)
def test_releases_that_were_tampered_with_are_refused(tmp_path: Path, release: str) -> None:
    """They are not asked for, and not run where somebody has installed them."""
    assert f"!={release}" in litellm_proxy.REQUIREMENT
    (tmp_path / f"lib/python3.12/site-packages/litellm-{release}.dist-info").mkdir(parents=True)
    with pytest.raises(LeftOut, match="tampered"):
        litellm_proxy.version(tmp_path)
