"""CHAIN: the steps that change one stream for one consumer, each feeding the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from localagent.plan import Step, tell
from localagent.streaming import Chunk, StreamStep

if TYPE_CHECKING:
    from localagent.call import Call


class StreamSteps:
    """The objects that the steps of ``wrap_stream`` made for one stream.

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
        for step, one in self._made[start:]:
            changed: list[Chunk] = []
            try:
                for chunk in chunks:
                    result = one.feed(chunk)
                    if result is None:
                        changed.append(chunk)
                    else:
                        changed.extend(result)
            except Exception as error:  # the plugin's code
                raise step.blame(error) from error
            chunks = changed
        return chunks

    def end(self, reason: str) -> list[Chunk]:
        """Return the last words of each step, as the later steps pass them on; errors as in ``feed``."""
        words: list[Chunk] = []
        for place, (step, one) in enumerate(self._made, 1):
            try:
                last = one.end(reason)
            except Exception as error:  # the plugin's code
                raise step.blame(error) from error
            if last:
                words.extend(self.feed(last, place))
        return words
