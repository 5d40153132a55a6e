"""Entries as bytes: nothing is lost, and bytes of another kind are no entry."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from localagent import CacheEntry, CacheKey, ChatResponse, EmbedResponse, Usage
from localagent.records import pack_entry, unpack_entry

KEY = CacheKey(b"d" * 32, b"c" * 16, 7, "fake/m", "t")
EVENTS = (b'{"a": 1}', b'{"b":2}')
RESPONSE = ChatResponse(
    raw=b"{ }", model="fake/m", instance="one", usage=Usage(1, 2, 3, 4, 5, estimated=True),
    facts={"load_seconds": 0.5, "deep": {"er": [None, "é"]}}, text="é", finish_reasons=("stop", None), streamed=EVENTS,
)  # fmt: skip
ENTRY = CacheEntry(KEY, RESPONSE, EVENTS, 12.5, seconds=3.25)


def test_an_entry_comes_back_whole() -> None:
    """Usage, facts, finish reasons, the events of a stream, the seconds that it took, and the key."""
    for entry in (
        ENTRY,
        CacheEntry(KEY, msgspec.structs.replace(RESPONSE, streamed=(b"others",)), None, 0.0),
        CacheEntry(KEY, msgspec.structs.replace(RESPONSE, streamed=()), None, 0.0),
        CacheEntry(KEY, EmbedResponse(raw=b"[]", usage=None), None, 1e9),
    ):
        data = pack_entry(entry)
        assert data is not None
        assert unpack_entry(data) == entry
        assert unpack_entry(memoryview(data)) == entry


def test_what_cannot_be_written_is_not() -> None:
    """Facts of types that only one process knows."""
    response = msgspec.structs.replace(RESPONSE, facts={"x": object()})
    assert pack_entry(msgspec.structs.replace(ENTRY, response=response)) is None


def test_a_record_with_fields_of_a_newer_version_is_read() -> None:
    """Fields at the end that nobody knows yet change nothing."""
    data = pack_entry(ENTRY)
    assert data is not None
    longer = data[:1] + msgspec.msgpack.encode([*msgspec.msgpack.decode(data[1:]), "new", {"er": 1}])
    assert unpack_entry(longer) == ENTRY


@given(junk=st.binary(max_size=200))
def test_other_bytes_are_no_entry(junk: bytes) -> None:
    """Whatever another program, or another version, has written; behind the right version byte, too."""
    assert unpack_entry(junk) is None
    assert unpack_entry(b"\x01" + junk) is None
    assert unpack_entry(b"\x02" + pack_entry(ENTRY)[1:]) is None  # type: ignore[index]


@given(where=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_raises_nothing(where: int, flip: int) -> None:
    """Whether it is noticed is for the checksum of the cache; what is returned is an entry or None."""
    data = bytearray(pack_entry(ENTRY) or b"")
    data[where % len(data)] ^= flip
    assert unpack_entry(bytes(data)) is None or isinstance(unpack_entry(bytes(data)), CacheEntry)
