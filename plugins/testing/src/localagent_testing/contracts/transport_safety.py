"""The contract of transports: what must not happen, and where they must still work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from localagent import LocalAgentError
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries
from localagent_testing.contracts.exchanging import MakesTransports, exchange, fetch, nobody_listens
from localagent_testing.fault_server import FaultServer
from localagent_testing.faults.resolver import SILENT, stub_resolver
from localagent_testing.http_bytes import answer
from localagent_testing.steps import Close, ReadRequest, Reset, Send

__all__ = ["Safety"]

OK = (ReadRequest(), Send(answer(200, b"good")))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
INJECTIONS = [
    pytest.param({"X-A": "a\r\nX-Evil: 1"}, id="value"),
    pytest.param({"X-A": "a\nX-Evil: 1"}, id="value, line feed"),
    pytest.param({"X-A\r\nX-Evil": "1"}, id="name"),
    pytest.param({"X-A": "a\0b"}, id="null"),
]


class Safety(MakesTransports):
    """Redirects, proxies, cookies, injected headers, secrets; threads and forks."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirects_are_not_followed(self, status: int) -> None:
        """A redirect is an answer: the prompt is sent only to addresses in the settings."""
        async with FaultServer(OK) as elsewhere:
            moved = (ReadRequest(), Send(answer(status, b"", {"Location": elsewhere.url + "/x"})))
            async with (
                FaultServer(moved) as server,
                self.transport() as transport,
                exchange(transport, server.url) as got,
            ):
                assert (got.status, await got.read()) == (status, b"")
            assert (elsewhere.connections.accepted, elsewhere.received) == (0, 0)

    async def test_proxy_variables_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The environment cannot send prompts and keys elsewhere."""
        async with FaultServer(OK) as proxy, FaultServer(OK) as server:
            for name in PROXIES:
                monkeypatch.setenv(name, proxy.url)
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            async with self.transport() as transport:
                assert await fetch(transport, server.url) == b"good"
            assert proxy.connections.accepted == 0

    async def test_no_netrc_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        """Credentials of a ``.netrc`` are not sent."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with FaultServer(OK) as server, self.transport() as transport:
            await fetch(transport, server.url)
            assert server.requests[0].header("Authorization") is None

    async def test_no_cookies_are_kept(self) -> None:
        """The next request does not send a cookie that an answer has set."""
        script = (ReadRequest(), Send(answer(200, b"good", {"Set-Cookie": "a=b; Path=/"})))
        async with FaultServer(script) as server, self.transport() as transport:
            for _ in range(2):
                await fetch(transport, server.url)
            assert [request.header("Cookie") for request in server.requests] == [None, None]

    @pytest.mark.parametrize("headers", INJECTIONS)
    async def test_no_header_can_be_injected(self, headers: Mapping[str, str]) -> None:
        """A header that contains line ends is refused with a typed error, and nothing is sent."""
        async with FaultServer(OK) as server, self.transport() as transport:
            with pytest.raises(LocalAgentError):
                async with exchange(transport, server.url, headers=headers):
                    pass
            assert server.requests == []
            assert await fetch(transport, server.url) == b"good"

    async def test_no_request_can_be_injected(self) -> None:
        """A path that contains line ends makes no second request and no header."""
        async with FaultServer(OK) as server, self.transport() as transport:
            with contextlib.suppress(LocalAgentError):
                await fetch(transport, server.url + "/a HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /b")
            assert [request.header("X-Evil") for request in server.requests] in ([], [None])

    async def test_errors_show_neither_key_nor_prompt(self, canaries: Canaries) -> None:
        """Errors, linked exceptions and the log contain no part of the request."""
        headers = {"Authorization": f"Bearer {CANARY_KEY}"}
        for script in ((ReadRequest(), Reset()), (ReadRequest(), Send(b"what?\r\n\r\n"), Close())):
            async with FaultServer(script) as server, self.transport() as transport:
                with pytest.raises(LocalAgentError) as caught:
                    async with exchange(transport, server.url, headers=headers, body=CANARY_PROMPT.encode()):
                        pass
                canaries.watch(caught.value)
        with nobody_listens() as url:
            async with self.transport() as transport:
                with pytest.raises(LocalAgentError) as caught:
                    async with exchange(transport, url, headers=headers, body=CANARY_PROMPT.encode()):
                        pass
                canaries.watch(caught.value)

    async def test_names_without_an_answer_hold_up_no_other_request(self) -> None:
        """While forty names get no answer, a request to another name is answered, and threads do other work."""
        silent = [f"silent-{number}.invalid" for number in range(40)]
        names = {**dict.fromkeys(silent, SILENT), "answers.test": "127.0.0.1"}
        async with FaultServer(OK) as server, self.transport() as transport:
            with stub_resolver(names):
                stuck = [asyncio.create_task(fetch(transport, f"http://{name}:9")) for name in silent]
                try:
                    url = server.url.replace("127.0.0.1", "answers.test")
                    assert await asyncio.wait_for(fetch(transport, url), 30.0) == b"good"
                    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 30.0) == "done"
                finally:
                    for task in stuck:
                        task.cancel()
            ends = await asyncio.gather(*stuck, return_exceptions=True)
            assert {type(end) for end in ends} == {asyncio.CancelledError}

    async def test_two_event_loops_do_not_meet(self) -> None:
        """Transports in two threads, each with its own event loop, work at the same time."""
        async with FaultServer(OK) as server, self.transport() as transport:
            answers: list[bytes] = []
            thread = threading.Thread(target=lambda: answers.extend(asyncio.run(self._fetched(server.url))))
            thread.start()
            for _ in range(20):
                assert await fetch(transport, server.url) == b"good"
            await asyncio.to_thread(thread.join)
            assert answers == [b"good"] * 20

    async def _fetched(self, url: str) -> list[bytes]:
        async with self.transport() as transport:
            return [await fetch(transport, url) for _ in range(20)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    async def test_a_forked_child_leaves_the_parents_connections_alone(self) -> None:
        """A child uses none of its parent's sockets; the parent's kept connection still serves afterwards."""
        async with FaultServer(OK) as server, self.transport() as transport:
            await fetch(transport, server.url)
            child = os.fork()
            if child == 0:
                os._exit(_exit_code(transport, server.url))
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            assert await fetch(transport, server.url) == b"good"
            assert [request.connection for request in server.requests] == [1, 2, 1]


def _exit_code(transport: Any, url: str) -> int:
    """Send a request in a forked child and return its exit code; its exit must not run the parent's clean-up."""
    try:
        return 0 if asyncio.run(fetch(transport, url)) == b"good" else 2
    except BaseException:  # whatever happens in the child must end the child
        return 3
