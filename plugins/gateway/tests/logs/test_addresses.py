"""No key is left in an address that is logged or repeated in an error, wherever it stands."""

from __future__ import annotations

import pytest

from localagent_gateway.logs.addresses import ADDRESS_LOOKED_AT, redact_address
from localagent_testing.common_answers import KEY

KEYS = {
    "the gateway's": "la-abcdefghij-u9K_3xQ-Zm1vB7pLw0aTfRc5yHnE2dJ8sGq4iXoM6kU",
    "OpenAI's": "sk-proj-Ab3xYz9Qw7",
    "Anthropic's": "sk-ant-api03-Zx9_y8-W7v",
    "Groq's": "gsk_0123456789abcdefghij",
    "Google's": "AIzaSyA1234567890abcdefghijk",
    "Hugging Face's": "hf_abcdefghijklmnop",
    "GitHub's": "ghp_16C7e42F292c69",
    "AWS's": "AKIA" + "IOSFODNN7EXAMPLE",
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "hexadecimal": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "random": "u9K_3xQ-Zm1vB7pLw0aTfRc5yHnE2dJ8",
    "a UUID": "3f2b8c1e-9d4a-4c7b-8e21-5a6f7b8c9d0e",
    "canary": KEY,
}
PLACES = [
    "/{}", "/v1/models/{}", "/v1/{}/models", "/{}/", "/v1/models?{}", "/v1/models?{}=1", "/v1/models?a={}",
    "/v1/models?a=1&a={}&a=2", "/a;b={}", "/v1/models#{}", "/ {} ", "/v1/a {} b", "/Bearer {}", "/?q=x {} y", "{}",
    "//{}//{}", "/a={}", "/'{}'", "/({})", "/v1/models/up:{}",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("place", PLACES)
def test_no_key_is_left_in_an_address(place: str, key: str) -> None:
    """Wherever it stands in path or query; also with percent escapes, once or twice, and with blanks in it."""
    escaped = "".join(f"%{ord(char):02X}" for char in key)
    twice = escaped.replace("%", "%25")
    parted = f"{key[:9]} {key[9:]}"
    for written in (key, escaped, twice, parted, parted.replace(" ", "%20"), f"%20{key}%0A"):
        shown = redact_address(place.format(written, written))
        assert not any(piece in shown for piece in (key, escaped, twice, key[-12:], key[4:16])), shown


@pytest.mark.parametrize("name", ["key", "api_key", "API-Key", "apikey", "x-api-key", "token", "access_token", "secret",
                                  "Authorization", "password", "signature", "auth"])  # fmt: skip
def test_what_is_named_as_a_key_is_hidden(name: str) -> None:
    """However it looks; repeated, with blanks, and as a piece of the path."""
    for address in ("/a?{}=short&b=1", "/a?b=1&{}=x&{}=short", "/a?%20{}%20=short", "/{}/short", "/a;{}=short",
                    "/{}:short"):  # fmt: skip
        assert "short" not in redact_address(address.format(name, name))


@pytest.mark.parametrize("address", [
    "", "/", "/v1/chat/completions", "/v1/messages/count_tokens", "/healthz", "/.git/config", "/wp-login.php?a=1&b=2",
    "/v1/models/hf.co/bartowski/DeepSeek-R1-Distill-Qwen-32B-abliterated-GGUF:Q4_K_M", "/Größe/日本 語",
    "/v1/models/meta-llama/Meta-Llama-3.1-70B-Instruct-GPTQ-INT4", "/v1/models/claude-3-5-sonnet-20241022",
    "/v1/models/accounts/fireworks/models/llama-v3p1-405b-instruct", "/v1/models/gpt-4o-mini-2024-07-18", "/100%",
])  # fmt: skip
def test_an_address_without_a_key_is_shown_as_it_is(address: str) -> None:
    """Names of models have digits and capitals, too."""
    assert redact_address(address) == address


def test_what_an_address_shows_is_printable_and_short() -> None:
    """A key that stands where the address is cut is not shown in part."""
    assert redact_address("/a\x1b[31m\r\nforged\u202e") == "/a\\x1b[31m\\r\\nforged\\u202e"
    for length in range(ADDRESS_LOOKED_AT - 60, ADDRESS_LOOKED_AT + 5):
        shown = redact_address(f"/{'a/' * (length // 2)}{KEY}")
        assert len(shown) <= 300
        assert KEY[:12] not in shown
        assert KEY[:12] not in redact_address(f"/x={'short'}/{'%2573k-' * 40}/{KEY}" + "/b" * length)


@pytest.mark.parametrize("unit", ["a", "eyJ-", "<", "sk-", "sk- ", "bearer ", "secret ", "-", "1a-", "%2525", "= "])
def test_redaction_of_a_hostile_address_is_quick(unit: str) -> None:
    """The work has a bound, whatever the length; the test's own clock is the ceiling."""
    assert len(redact_address(unit * (1_000_000 // len(unit)))) <= 300
