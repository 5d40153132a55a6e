"""Values and entries as bytes: nothing is lost, nothing that is damaged is taken for an answer."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent_valkey.values import _HEAD, VERSION, NoEntryError, packed, unpacked

LONGEST = 1 << 20


@given(data=st.binary(max_size=2000), above=st.integers(0, 2000))
def test_what_is_packed_is_unpacked(data: bytes, above: int) -> None:
    """Byte for byte, compressed or not; the value is never longer than the bytes and their head."""
    value = packed(data, above)
    assert unpacked(value, LONGEST) == data
    assert len(value) <= len(data) + _HEAD.size


def test_long_ones_are_compressed() -> None:
    """From the setting on, and only if that makes them shorter."""
    assert len(packed(b"a" * 4097, 4096)) < 100
    assert len(packed(b"a" * 4096, 4096)) == 4096 + _HEAD.size


@given(data=st.binary(min_size=1, max_size=300), where=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed(data: bytes, where: int, flip: int) -> None:
    """Wherever it is: the value is refused, or of no known version; never other bytes."""
    value = bytearray(packed(data * 20, 100))
    value[where % len(value)] ^= flip
    with contextlib.suppress(NoEntryError):
        assert unpacked(bytes(value), LONGEST) is None


@given(junk=st.binary(max_size=100))
def test_anything_else_is_refused(junk: bytes) -> None:
    """Whatever bytes another program has put there."""
    with contextlib.suppress(NoEntryError):
        assert unpacked(junk, LONGEST) is None


def test_another_version_is_none() -> None:
    """What a newer version writes is neither read nor called damaged."""
    value = bytearray(packed(b"data", 100))
    value[2] += 1
    assert unpacked(bytes(value), LONGEST) is None


def test_a_few_bytes_do_not_become_gigabytes() -> None:
    """A value that is longer than allowed is not unpacked, whatever its header states."""
    bomb = zlib.compress(bytes(1 << 24))
    honest = _HEAD.pack(b"LA", VERSION, 1, 1 << 24, zlib.crc32(bomb)) + bomb
    lying = _HEAD.pack(b"LA", VERSION, 1, 100, zlib.crc32(bomb)) + bomb
    assert unpacked(honest, LONGEST) is None
    with pytest.raises(NoEntryError):
        unpacked(lying, LONGEST)
