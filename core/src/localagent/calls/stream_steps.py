"""CHAIN: the steps that change one stream for one consumer; each one feeds the next."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localagent.errors import LocalAgentError
from localagent.pipeline.steps import Step, ask_now
from localagent.records.responses import Chunk, StreamStep

if TYPE_CHECKING:
    from localagent.records.call import Call


class StreamSteps:
    """The objects that the ``wrap_stream`` steps returned for one stream.

    Args:
        steps: The plan's steps.
        call: The call.

    Raises:
        LocalAgentError: A step failed.
    """

    __slots__ = ("_made",)

    def __init__(self, steps: Sequence[Step], call: Call) -> None:
        made = [(step, ask_now(step, call)) for step in steps]
        self._made: list[tuple[Step, StreamStep]] = [(step, one) for step, one in made if one is not None]

    def feed(self, chunks: Sequence[Chunk], start: int = 0) -> Sequence[Chunk]:
        """Pass chunks through the steps and return the result.

        Args:
            chunks: The chunks.
            start: The index of the first step that receives them.

        Raises:
            LocalAgentError: A step failed; the error names its plugin.
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
            except (Exception, CancelledError) as error:  # the plugin's code; no other code can cancel a plain function
                if isinstance(chunk, Chunk):
                    raise step.wrap_error(error) from error
                if place:  # the previous step returned something else
                    raise self._made[place - 1][0].wrap_error(error) from error
                raise
            chunks = changed
        return chunks

    def end(self, reason: str) -> list[Chunk]:
        """End each step and return its last chunks, passed through the later steps; errors as in ``feed``."""
        words: list[Chunk] = []
        for place, (step, one) in enumerate(self._made, 1):
            try:
                last = one.end(reason)
                if last:
                    words += self.feed(last, place)
                    _ = [word.text for word in words]
            except (Exception, CancelledError) as error:  # the plugin's code; no other code can cancel a plain function
                raise step.wrap_error(error) from error
        return words

    def wrap_error(self, error: BaseException) -> LocalAgentError:
        """Return the error of the last step, which returned something that is not a chunk."""
        return self._made[-1][0].wrap_error(error)
