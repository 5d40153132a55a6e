"""Keys and control characters never leave in a text that a server wrote, nor in its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.http_answers import redact
from localagent.http_answers.answer_shapes import LOOKED_AT
from localagent.http_answers.redaction import clean_header
from localagent_testing.common_answers import KEY


@pytest.mark.parametrize("value", [None, "", "a\nb", "a\x00", "\x1b[31mred", "a" * 201, "\udcff", "a\u202eb", KEY])
def test_a_header_that_cannot_be_shown_is_dropped(value: str | None) -> None:
    """Control characters, what turns the direction of text, raw bytes, keys and very long values."""
    assert clean_header(value) is None


def test_a_plain_header_is_kept() -> None:
    """Up to 200 characters."""
    assert clean_header("a" * 200) == "a" * 200


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect ***"),
        ("key sk-ab***yz is wrong", "key *** is wrong"),
        ("Authorization: Bearer abc.def", "***"),
        ("got Bearer abc.def here", "got *** here"),
        ("AIzaSyA1234567890abcdefghijk denied", "*** denied"),
        ("gsk_0123456789abcdefghij denied", "*** denied"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln denied", "*** denied"),
        ("0123456789abcdef0123456789abcdef denied", "*** denied"),
        ("see https://user:pass@host.example/a?key=secret#part now", "see https://host.example/a now"),
        ("red \x1b[31malert\r\nforged: line", "red \\x1b[31malert\\r\\nforged: line"),
        ("turned \u202e around\u2028", "turned \\u202e around\\u2028"),
        ("raw \udcff", "raw \\udcff"),
        ("The model `meta-llama/Meta-Llama-3.1-70B-Instruct` is fine.", None),
        ("max_tokens: 4096 is more than 2048 <= 4096; see request req_8f14e45fceea167a5a36dedd4bea2543", None),
        ("Größe, 日本語, 😀", None),
    ],
)
def test_redaction_hides_keys_and_escapes_control(text: str, shown: str | None) -> None:
    """Keys become stars, addresses lose user and query, control characters become visible; other text stays."""
    assert redact(text) == (text if shown is None else shown)


def test_redaction_cuts_long_text() -> None:
    """300 characters are enough to say what is wrong."""
    assert redact("a b " * 500) == ("a b " * 500)[:297] + "..."
    assert redact("x" * 300) == "x" * 300


@pytest.mark.parametrize("unit", ["a", "eyJ-", "<", "< ", "sk-", "https://", "a://@", "bearer ", "secret ", "-", "1a-"])
def test_redaction_of_a_hostile_text_is_quick(unit: str) -> None:
    """The length of the text is all that the work depends on; the test's own clock is the ceiling."""
    assert len(redact(unit * (4 * LOOKED_AT // len(unit)))) <= 300


@given(st.text(), st.text())
def test_redacted_text_never_holds_the_key(before: str, behind: str) -> None:
    """Wherever a key stands, it is gone, and what is left is printable and short."""
    text = redact(f"{before}{KEY}{behind}")
    assert KEY not in text
    assert text.isprintable()
    assert len(text) <= 300
