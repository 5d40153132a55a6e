"""The text of a stream so far, which the error that ends it early brings along."""

from __future__ import annotations

from collections.abc import Sequence

from localagent.responses import Chunk

JOINED_AT = 4096
"""Pieces that are kept apart: an empty string takes 50 bytes, and a text of many small ones would take many times its
length."""


class PartialText:
    """Gathers the text of chunks; how much there may be is bounded by the cap on the stream."""

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Take the text of further chunks."""
        self._pieces += [chunk.text for chunk in chunks]
        if len(self._pieces) > JOINED_AT:
            self._blocks.append(self._joined())
            self._pieces.clear()

    def _joined(self) -> str:
        return "".join(map(str, self._pieces))

    def __str__(self) -> str:
        return "".join((*self._blocks, self._joined()))
