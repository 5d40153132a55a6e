"""Which addresses an instance may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.settings import read_address
from localagent.settings.provider import is_metadata_address


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.5:11434", "https://api.example.com/v1", "http://localhost:8000", "http://[::1]:8000/v1",
     "http://gpu_box.lan", "HTTPS://Example.com", "http://[fe80::1%25eth0]:80", "http://xn--bcher-kva.example"],
)  # fmt: skip
def test_plain_addresses_are_taken(address: str) -> None:
    """http and https; names, IPv4 and IPv6."""
    assert read_address(address) == address


def test_slashes_at_the_end_do_not_count() -> None:
    """``url + "/chat"`` is then always right."""
    assert read_address("http://10.0.0.5:8000/v1//") == "http://10.0.0.5:8000/v1"


@pytest.mark.parametrize(
    "address",
    ["", "localhost:8000", "10.0.0.5", "ftp://h/", "file:///etc/passwd", "http://", "http:///v1", "http://:8000",
     "http://user@h", "http://user:pass@h", "http://h/v1?key=x", "http://h/?", "http://h/#a", "http://h/#",
     "http://h:0", "http://h:99999", "http://h:x", "http://h:", "http://h\\@evil", "http://h h/", " http://h",
     "http://h\n", "http://h\t.evil", "http://b\u00fccher.example", "http://\uff11\uff10.0.0.5", "http://%31%30.0.0.5",
     "http://[::1", "http://[abc]", "http://a[::1]", "http://[::1]x", "http://h/<x>", 5, None, ["http://h"]],
)  # fmt: skip
def test_anything_else_is_refused(address: object) -> None:
    """Above all what clients read in different ways, and what would put a key into an address."""
    with pytest.raises(ValueError, match=r"."):
        read_address(address)


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    """An address or ``ValueError``, nothing else."""
    for written in (text, f"http://{text}", f"http://[{text}]/", f"http://h:{text}"):
        try:
            assert read_address(written).isascii()
        except ValueError:
            pass
        else:
            is_metadata_address(read_address(written))


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "169.254.0.1", "169.254.169.254.", "[fe80::1]", "[fe80::1%25eth0]", "[FEBF::1]",
     "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "2852039166", "0xa9fea9fe", "0xA9.254.43518",
     "0251.0376.0251.0376", "metadata.google.internal", "METADATA.google.internal."],
)  # fmt: skip
def test_metadata_addresses_are_known_in_every_spelling(host: str) -> None:
    """Resolvers take an IP address in hexadecimal, octal and in one number, too."""
    assert is_metadata_address(read_address(f"http://{host}:80/latest"))


@pytest.mark.parametrize("host", ["10.0.0.5", "127.1", "[::1]", "[fd00::1]", "localhost", "api.example.com", "fe80"])
def test_other_addresses_are_not(host: str) -> None:
    """Private networks are where local models live."""
    assert not is_metadata_address(f"http://{host}/")
