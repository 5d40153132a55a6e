"""The handle of a stream that a user holds."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self

from localagent.records.responses import Chunk, Usage

if TYPE_CHECKING:
    from localagent.calls.stream_run import StreamRun
    from localagent.records.reports import Receipt


class AnswerStream:
    """A streamed answer; iterate over it to get its chunks as they arrive.

    Use it with ``async with``: entering it raises errors from before the first content, and leaving it closes the
    connection. A stream that is dropped without that is closed with a warning.

    Example:
        import asyncio

        from localagent import Client

        async def main() -> None:
            async with Client() as client, client.stream("Why is the sky blue?", max_tokens=30) as stream:
                async for chunk in stream:
                    print(chunk.text, end="", flush=True)
            print(stream.usage, stream.finish_reason)

        asyncio.run(main())

    Since: 0.1
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
        """End the stream; returns when its source is closed. Idempotent."""
        self._ready.clear()
        await self._run.aclose()

    def batch(self) -> Coroutine[Any, Any, list[Chunk]]:
        """Wait for chunks and return all that have arrived; an empty list after the end of the stream.

        Raises:
            StreamInterrupted: The stream broke off; chunks that came before were handed out.
        """
        return self._run.batch()

    async def text(self) -> str:
        """Read to the end and return the text of the first choice.

        Raises:
            StreamInterrupted: The stream broke off; ``partial`` has what arrived.
        """
        return "".join([chunk.text async for chunk in self])

    @property
    def over(self) -> bool:
        """Whether the stream has ended well and all its chunks were handed out."""
        return self._run.over

    @property
    def usage(self) -> Usage | None:
        """Tokens, when the stream has ended and the server reported them."""
        return self._run.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended: stop, length, tool_calls or content_filter; None before the end."""
        return self._run.finish_reason

    @property
    def facts(self) -> Mapping[str, Any]:
        """Public facts of plugins about the call (``PublicFact``); at the end also figures of the server."""
        return {**self._run.call.public_facts, **self._run.facts}

    @property
    def model(self) -> str:
        """The model that answers, as ``provider/name``; empty before the first content."""
        return self._run.model

    @property
    def receipt(self) -> Receipt | None:
        """What each step decided so far; None unless the call asked for a receipt."""
        return self._run.receipt

    @property
    def request_id(self) -> str:
        """The id of the call."""
        return self._run.call.id

    @property
    def cached(self) -> str:
        """The cache plugin that answers; empty when a model does."""
        return self._run.call.cached

    @property
    def forwarded(self) -> str:
        """Why no cache answers; see ``Call.forwarded``."""
        return self._run.call.forwarded

    @property
    def coalesced(self) -> bool:
        """Whether the call shared the work of an identical one; known at its end."""
        return self._run.call.coalesced

    @property
    def age(self) -> float | None:
        """Seconds since the answer was made, when a cache had it; None otherwise."""
        return self._run.call.facts.get("age") if self._run.call.cached else None

    def __del__(self) -> None:
        run = self._run
        if run.open and not run.loop.is_closed():
            run.loop.call_soon_threadsafe(run.abandon)  # first: the warning may be an error
            warnings.warn("A stream was dropped before its end; use 'async with'.", ResourceWarning, stacklevel=2)
