"""``localagent_testing.http_bytes``: the bytes are exactly those that were asked for."""

from localagent_testing.http_bytes import answer, chunked, head, ndjson, sse


def test_a_head_holds_the_headers_given_and_no_other() -> None:
    """Names may repeat, values are Latin-1, an unregistered status has a reason too."""
    assert head(200, [("A", "1"), ("A", "2")]) == b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\n\r\n"
    assert head(529, {"X": "\xe9"}) == b"HTTP/1.1 529 Unknown\r\nX: \xe9\r\n\r\n"


def test_an_answer_has_its_true_length_unless_a_lie_is_asked_for() -> None:
    """``content_length`` is True, False or any number."""
    typed = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    assert answer(200, {"a": 1}) == typed + b'Content-Length: 7\r\n\r\n{"a":1}'
    assert answer(200, "h\xe9", content_length=99) == typed + b"Content-Length: 99\r\n\r\nh\xc3\xa9"
    assert answer(200, b"x", content_length=False) == typed + b"\r\nx"


def test_an_answer_can_go_without_a_content_type() -> None:
    """``content_type=None`` leaves the header out; further headers come last."""
    assert answer(404, headers={"A": "1"}, content_type=None) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nA: 1\r\n\r\n"
    )


def test_a_chunked_body_can_lack_its_end() -> None:
    """Sizes are hexadecimal; ``end=False`` leaves the empty chunk out."""
    assert chunked([b"a" * 26]) == b"1a\r\n" + b"a" * 26 + b"\r\n0\r\n\r\n"
    assert chunked([b"a", b"bc"], end=False) == b"1\r\na\r\n2\r\nbc\r\n"


def test_events_and_lines() -> None:
    """Bytes and text go as they are, anything else as JSON."""
    assert sse([{"a": 1}, "[DONE]"]) == b'data: {"a":1}\n\ndata: [DONE]\n\n'
    assert ndjson([{"a": "\u2028"}, b"{cut"]) == b'{"a":"\xe2\x80\xa8"}\n{cut\n'
