"""The headers of an answer: kept as bytes, decoded on access."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Headers(Mapping[str, str]):
    """Headers with case-insensitive names; for a repeated name the first value counts.

    Args:
        pairs: Names and values as received.
    """

    __slots__ = ("fields",)

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.fields = {name.lower(): value for name, value in reversed(pairs)}

    def __getitem__(self, name: str) -> str:
        return self.fields[name.lower().encode("latin-1", "replace")].decode("utf-8", "replace").rstrip(" \t")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower().encode("latin-1", "replace") in self.fields
