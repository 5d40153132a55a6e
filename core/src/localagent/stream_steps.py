"""What one consumer has of one stream: the steps that change it (CHAIN), and the text so far."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localagent.errors import LocalAgentError
from localagent.plan import Step, tell
from localagent.responses import Chunk, StreamStep

if TYPE_CHECKING:
    from localagent.call import Call

JOINED_AT = 4096
"""Pieces that are kept apart: an empty string takes 50 bytes, and a text of many small ones would take many times its
length."""


class StreamSteps:
    """CHAIN: the objects that the steps of ``wrap_stream`` made for one stream, each feeding the next.

    Args:
        steps: The plan's steps.
        call: The call.

    Raises:
        LocalAgentError: A step failed.
    """

    __slots__ = ("_made",)

    def __init__(self, steps: Sequence[Step], call: Call) -> None:
        made = [(step, tell(step, call)) for step in steps]
        self._made: list[tuple[Step, StreamStep]] = [(step, one) for step, one in made if one is not None]

    def feed(self, chunks: Sequence[Chunk], start: int = 0) -> Sequence[Chunk]:
        """Return what becomes of chunks.

        Args:
            chunks: The chunks.
            start: The first step that sees them.

        Raises:
            LocalAgentError: A step failed; its plugin is named.
        """
        for place, (step, one) in enumerate(self._made[start:], start):
            changed: list[Chunk] = []
            chunk: Chunk | None = None
            try:
                for chunk in chunks:
                    result = one.feed(chunk)
                    if result is None:
                        changed.append(chunk)
                    else:
                        changed.extend(result)
            except (Exception, CancelledError) as error:  # the plugin's code; nobody can cancel a plain function
                if isinstance(chunk, Chunk):
                    raise step.blame(error) from error
                if place:  # the step before handed on something else
                    raise self._made[place - 1][0].blame(error) from error
                raise
            chunks = changed
        return chunks

    def end(self, reason: str) -> list[Chunk]:
        """Return the last words of each step, as the later steps pass them on; errors as in ``feed``."""
        words: list[Chunk] = []
        for place, (step, one) in enumerate(self._made, 1):
            try:
                last = one.end(reason)
                if last:
                    words += self.feed(last, place)
                    _ = [word.text for word in words]
            except (Exception, CancelledError) as error:  # the plugin's code; nobody can cancel a plain function
                raise step.blame(error) from error
        return words

    def blame(self, error: BaseException) -> LocalAgentError:
        """Return the error of the last step, which handed on something that is no chunk."""
        return self._made[-1][0].blame(error)


class PartialText:
    """The text of a stream so far, which the error that ends it early brings along.

    How much there may be is bounded by the cap on the stream.
    """

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
