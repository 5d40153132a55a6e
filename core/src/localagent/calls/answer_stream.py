"""The handle of a stream, which the user holds."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self

from localagent.records.responses import Chunk, Usage

if TYPE_CHECKING:
    from localagent.calls.stream_run import StreamRun
    from localagent.records.reports import Receipt


class AnswerStream:
    """A streamed answer, as ``Client.stream`` returns it; iterate over it to get the chunks as they arrive.

    Use it with ``async with``. Entering sends the request, waits for the first content, and raises the error of a call
    that fails before it. Leaving closes the connection. A stream that is discarded before its end is also closed, with
    a ``ResourceWarning``.

    Example:
        ::

            async with client.stream("Why is the sky blue?") as stream:
                async for chunk in stream:
                    print(chunk.text, end="", flush=True)
                print(stream.finish_reason, stream.usage)

    Since: 0.1.
    """

    __slots__ = ("_ready", "_run")

    def __init__(self, run: StreamRun) -> None:
        self._run = run
        self._ready = run.ready

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        if self._ready:
            return self._ready.popleft()
        return await self._run.next()

    async def __aenter__(self) -> Self:
        await self._run.start()
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream and wait until its source is closed; idempotent."""
        self._ready.clear()
        await self._run.aclose()

    def batch(self) -> Coroutine[Any, Any, list[Chunk]]:
        """Return all chunks that have arrived, at least one; await the result. Empty at the end of the stream.

        Raises:
            StreamInterrupted: The stream broke off; all earlier chunks have been returned.

        Example:
            ::

                while chunks := await stream.batch():
                    print("".join(chunk.text for chunk in chunks), end="")
        """
        return self._run.batch()

    async def text(self) -> str:
        """Read the stream to its end and return the text of the first choice.

        Raises:
            StreamInterrupted: The stream broke off; ``partial`` has the text that had arrived.
        """
        return "".join([chunk.text async for chunk in self])

    @property
    def over(self) -> bool:
        """Whether the stream has ended without an error and all its chunks have been returned."""
        return self._run.over

    @property
    def usage(self) -> Usage | None:
        """Token counts, once the stream has ended and if the server reported them; None otherwise."""
        return self._run.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended: stop, length, tool_calls or content_filter; None before the end."""
        return self._run.finish_reason

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts that plugins publish about the call (``PublicFact``); after the end also figures of the server."""
        return {**self._run.call.public_facts, **self._run.facts}

    @property
    def model(self) -> str:
        """The model that answers, as ``provider/name``; empty before the first content."""
        return self._run.model

    @property
    def receipt(self) -> Receipt | None:
        """The decisions of each step so far; None unless the call requested a receipt."""
        return self._run.receipt

    @property
    def request_id(self) -> str:
        """The id of the call."""
        return self._run.call.id

    @property
    def cached(self) -> str:
        """The cache plugin that answers; empty if a model answers."""
        return self._run.call.cached

    @property
    def forwarded(self) -> str:
        """Why no cache answers: ``request``, ``bypass`` or ``miss``; see ``Call.forwarded``."""
        return self._run.call.forwarded

    @property
    def coalesced(self) -> bool:
        """Whether the call shared the work of an identical one; known at its end."""
        return self._run.call.coalesced

    @property
    def age(self) -> float | None:
        """Seconds since the answer was made, if it comes from a cache; None otherwise."""
        return self._run.call.facts.get("age") if self._run.call.cached else None

    def __del__(self) -> None:
        run = self._run
        if run.open and not run.loop.is_closed():
            run.loop.call_soon_threadsafe(run.abandon)  # first: the warning may be an error
            warnings.warn("A stream was dropped before its end; use 'async with'.", ResourceWarning, stacklevel=2)
