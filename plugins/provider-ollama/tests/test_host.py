"""``OLLAMA_HOST`` means what it means to Ollama's own tools."""

from __future__ import annotations

import pytest

from localagent.errors import SettingsError
from localagent_provider_ollama.host import host_url
from localagent_provider_ollama.plugin import from_environment


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("10.0.0.5", "http://10.0.0.5:11434"),
        ("10.0.0.5:8080", "http://10.0.0.5:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("example.com", "http://example.com:11434"),
        ("example.com/", "http://example.com:11434"),
        ("example.com:8080/ollama/", "http://example.com:8080/ollama"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com:8443/path", "https://example.com:8443/path"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
        ("example.com:none", "http://example.com:11434"),
        ("example.com:70000", "http://example.com:11434"),
        ("http://example.com:70000", "http://example.com:80"),
        ("'example.com:8080'", "http://example.com:8080"),
        ('  "example.com"  ', "http://example.com:11434"),
        ("", "http://127.0.0.1:11434"),
    ],
)
def test_a_value_is_read_as_ollama_reads_it(value: str, url: str) -> None:
    """Scheme, port and path may be missing; an address for listening becomes one for connecting."""
    assert host_url(value) == url


def test_the_variable_makes_the_provider_present() -> None:
    """With ``OLLAMA_HOST`` there is a provider without any setting."""
    assert from_environment({"OLLAMA_HOST": "0.0.0.0"}) == {"instances": ["http://127.0.0.1:11434"]}


@pytest.mark.parametrize("environment", [{}, {"OLLAMA_HOST": ""}, {"OLLAMA_HOST": " "}, {"OLLAMA_MODELS": "/models"}])
def test_no_port_is_tried_without_the_variable(environment: dict[str, str]) -> None:
    """Nothing that runs on this machine is looked for unasked."""
    assert from_environment(environment) is None


@pytest.mark.parametrize("value", ["[", "http://[x", ":::", "bad host", "ftp://x", "me:secret-word@[h", "a\x00b"])
def test_a_value_that_is_no_address_is_one_error(value: str) -> None:
    """Name, value and what was expected; no password, and nothing raw."""
    with pytest.raises(SettingsError, match=r"OLLAMA_HOST.*expected the address of a server") as caught:
        from_environment({"OLLAMA_HOST": value})
    assert "secret-word" not in str(caught.value)
    assert caught.value.hint == "Correct OLLAMA_HOST, or unset it."
