"""The contract of providers: streams, whole, cut and failing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from localagent import Client, LocalAgentError, Usage
from localagent.errors import StreamInterrupted
from localagent.schema import join_events
from localagent_testing.canaries import CANARY_PROMPT, Canaries
from localagent_testing.contracts.base import CLOSING_SECONDS
from localagent_testing.contracts.served import NAME, Served, error_of, says
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import chunk, chunked, head
from localagent_testing.steps import Close, Drip, ReadRequest, Script, Send, Stall, Step

__all__ = ["Streams"]

TEXTS = ("Hel", "lo, ", "wörld", " \N{UNICORN FACE}.")
TEXT = "".join(TEXTS)


class Streams(Served):
    """Streams."""

    def streaming(self, *steps: Step, framing: str = "chunked") -> Script:
        """Answer with the head of a stream, and then run these steps."""
        delimits = {"Transfer-Encoding": "chunked"} if framing == "chunked" else {"Connection": "close"}
        return (ReadRequest(), Send(head(200, {"Content-Type": self.server.dialect.stream_type, **delimits})), *steps)

    def whole_stream(self, texts: Sequence[str] = TEXTS) -> Script:
        """Answer with a stream that ends well, with one chunk per event."""
        events = [Send(chunk(event)) for event in self.server.events(texts)]
        return self.streaming(*events, Send(chunked(())))

    async def test_a_stream_brings_its_text_as_it_comes(self) -> None:
        """Text arrives in the server's pieces, with finish reason, tokens and the model's name."""
        async with FaultServer(self.whole_stream()) as server, self.asking(server) as client:
            async with client.stream(CANARY_PROMPT) as stream:
                texts = [piece.text async for piece in stream if piece.text]
            assert (tuple(texts), stream.finish_reason, stream.model) == (TEXTS, "stop", f"{NAME}/m")

    async def test_a_stream_counts_tokens(self) -> None:
        """Tokens that the server reports are available at the end of a stream, and none are invented."""
        async with FaultServer(self.whole_stream()) as server, self.asking(server) as client:
            async with client.stream(CANARY_PROMPT, stream_options={"include_usage": True}) as stream:
                await stream.text()
            assert stream.usage in (None, Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5))

    async def test_a_stream_joins_to_the_whole_answer(self) -> None:
        """The events of a stream make the same message as the answer that is not streamed."""
        scripts = [self.whole_stream(), says(self.server.chat(TEXT))]
        async with FaultServer(scripts) as server, self.asking(server) as client:
            async with client.stream(CANARY_PROMPT) as stream:
                joined = join_events([piece.data async for piece in stream])
            response = await client.chat(CANARY_PROMPT)
        (choice,) = response.document["choices"]
        assert joined["choices"][0]["message"]["content"] == choice["message"]["content"] == TEXT
        assert joined["choices"][0]["finish_reason"] == choice["finish_reason"]

    async def test_a_stream_may_come_in_any_pieces(self) -> None:
        """It makes no difference where the network cuts: sent byte by byte, the stream is the same."""
        dripped = (Drip(chunk(event), size=1, pause=0) for event in self.server.events(TEXTS))
        texts: list[str] = []
        async with FaultServer(self.streaming(*dripped, Send(chunked(())))) as server, self.asking(server) as client:
            await _read(client, texts)
        assert tuple(filter(None, texts)) == TEXTS

    @pytest.mark.parametrize("framing", ["chunked", "close"])
    async def test_a_stream_cut_anywhere_is_told(self, framing: str) -> None:
        """A cut stream is an error, at whatever byte it is cut.

        Before its first text another target could be asked; after it the error is ``StreamInterrupted`` with the text
        that arrived. Only a stream that was cut after its complete ending is an answer.
        """
        events = self.server.events(TEXTS)
        body = b"".join(events)
        ends = [len(b"".join(events[: number + 1])) for number in range(len(events))]
        framed = chunk if framing == "chunked" else bytes
        scripts = [
            self.streaming(*([Send(framed(body[:size]))] if size else ()), Close(), framing=framing)
            for size in range(len(body))
        ]
        async with FaultServer(list(scripts)) as server, self.asking(server) as client:
            for size in range(len(body)):
                arrived = "".join(TEXTS[: max(0, sum(end <= size for end in ends) - 1)])
                await self._cut(client, arrived)

    async def _cut(self, client: Client, arrived: str) -> None:
        """Read a stream that was cut after at least this text."""
        read: list[str] = []
        error = await error_of(_read(client, read))
        if error is None:
            assert "".join(read) == TEXT
        elif isinstance(error, StreamInterrupted) and error.partial:
            assert (error.retryable, error.advice.billed) == (False, "yes")
            assert "".join(read) == error.partial
            assert error.partial.startswith(arrived)
            assert TEXT.startswith(error.partial)
        else:
            assert (read, arrived, error.retryable) == ([], "", True)

    async def test_an_error_before_any_text_is_its_own(self, canaries: Canaries) -> None:
        """A stream whose first event is an error raises that error when it is entered; others may be tried."""
        script = self.streaming(Send(chunk(self.server.dialect.failure("Out of memory."))), Send(chunked(())))
        async with FaultServer(script) as server, self.asking(server) as client:
            with pytest.raises(LocalAgentError) as caught:
                async with client.stream(CANARY_PROMPT):
                    pass
        canaries.watch(caught.value)
        assert not isinstance(caught.value, StreamInterrupted)

    async def test_an_error_behind_text_interrupts(self, canaries: Canaries) -> None:
        """After text it is ``StreamInterrupted``, with the text that arrived and the cause."""
        dialect = self.server.dialect
        events = [dialect.opening(), dialect.text("Hel"), dialect.failure("Out of memory.")]
        script = self.streaming(*(Send(chunk(event)) for event in events), Send(chunked(())))
        async with FaultServer(script) as server, self.asking(server) as client:
            with pytest.raises(StreamInterrupted) as caught:
                async with client.stream(CANARY_PROMPT) as stream:
                    await stream.text()
        canaries.watch(caught.value)
        assert caught.value.partial == "Hel"
        assert isinstance(caught.value.cause, LocalAgentError)

    @pytest.mark.parametrize("how", ["leave", "cancel"])
    @pytest.mark.parametrize("texts", [0, 1])
    async def test_leaving_a_stream_closes_its_connection(self, how: str, texts: int) -> None:
        """A stream that is left early, before or after the first text, leaves no connection behind."""
        events = self.server.events(TEXTS)[: 1 + texts]
        script = self.streaming(*(Send(chunk(event)) for event in events), Stall())
        reached = asyncio.Event()

        async def reading(client: Client) -> None:
            async with client.stream(CANARY_PROMPT) as stream:
                async for piece in stream:
                    if piece.text:
                        reached.set()
                        if how == "leave":
                            break

        async with FaultServer(script) as server, self.asking(server) as client:
            task = asyncio.ensure_future(reading(client))
            await (reached.wait() if texts else server.arrived())
            if how == "cancel" or not texts:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.wait_for(server.all_closed(), CLOSING_SECONDS)


async def _read(client: Client, texts: list[str]) -> None:
    """Read a stream and record the text of each chunk as it arrives."""
    async with client.stream(CANARY_PROMPT) as stream:
        async for piece in stream:
            texts.append(piece.text)  # noqa: PERF401  # what came before an error counts
