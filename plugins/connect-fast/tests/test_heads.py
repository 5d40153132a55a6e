"""The heads of requests."""

from __future__ import annotations

import pytest

from localagent.errors import SettingsError
from localagent_connect_fast.heads import KEPT, Head, Heads

URL = "http://a.test:8000/v1/x?y=%20"
DEFAULTS = b"Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: localagent\r\n"


def test_a_head_holds_what_was_given() -> None:
    """Target and query as they are, host with its port, defaults for what nobody gave, then the headers."""
    head = Head("POST", URL, {"X-Own": "1"})
    assert head.start == b"POST /v1/x?y=%20 HTTP/1.1\r\nHost: a.test:8000\r\n" + DEFAULTS + b"X-Own: 1\r\n"
    assert head.bare == head.start + b"Content-Length: 0\r\n\r\n"
    assert head.origin == ("a.test", 8000, False)


def test_a_get_announces_no_body() -> None:
    """A GET ends with its headers."""
    assert Head("GET", URL, {}).bare.endswith(DEFAULTS + b"\r\n")


def test_defaults_can_be_replaced_and_the_host_cannot() -> None:
    """Names compare without case; where a request goes is the address's alone."""
    head = Head("GET", "https://a.test:443/", {"accept": "text/plain", "HOST": "evil.test"})
    assert (head.start.count(b"ccept:"), b"evil" in head.start) == (1, False)
    assert b"Host: a.test\r\n" in head.start
    assert head.origin == ("a.test", 443, True)


def test_a_head_is_made_once() -> None:
    """The same method, address and headers give the same head."""
    heads = Heads()
    assert heads.get("GET", URL, {"A": "1"}) is heads.get("GET", URL, {"A": "1"})


def test_headers_that_change_make_a_new_head() -> None:
    """A key that was renewed in the same mapping is the one that is sent."""
    heads, headers = Heads(), {"Authorization": "Bearer old"}
    heads.get("GET", URL, headers)
    headers["Authorization"] = "Bearer new"
    assert b"Bearer new" in heads.get("GET", URL, headers).start


def test_what_is_kept_is_bounded() -> None:
    """Addresses that never come again do not add up."""
    heads = Heads()
    for number in range(3 * KEPT):
        heads.get("GET", f"{URL}&n={number}", {})
    assert len(heads._known) <= KEPT


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Upgrade"])
def test_framing_is_not_the_callers(name: str) -> None:
    """A second opinion about where a request ends is refused."""
    with pytest.raises(SettingsError):
        Head("POST", URL, {name: "5"})


@pytest.mark.parametrize(
    "url", ["http://a.test/a b", "http://a.test/\r\nX: 1", "http://a.test/\u00fc", "ftp://a.test/"]
)
def test_addresses_that_http_forbids_are_refused(url: str) -> None:
    """White space, line ends, characters beyond ASCII, other schemes."""
    with pytest.raises(SettingsError):
        Head("GET", url, {})
