"""Converts a streamed answer of Ollama to chunks in the OpenAI schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from localagent import Chunk, LocalAgentError, Usage
from localagent.errors import StreamInterrupted, UpstreamProtocol
from localagent.http_answers import inner_error, refuse_dense
from localagent.schema import NDJSONParser
from localagent_provider_ollama.documents import (
    Choice,
    Delta,
    Document,
    call,
    encode,
    finish_reason,
    logprobs,
    timings,
    tokens,
    usage,
)
from localagent_provider_ollama.failures import BROKEN_JSON, broken, only_loaded
from localagent_provider_ollama.native import Answer, ToolCall

if TYPE_CHECKING:
    from localagent import Attempt

_decode = msgspec.json.Decoder(Answer).decode
LONGEST_NAME = 256  # characters of a model's name: every chunk repeats it
LOADED = frozenset({"load", "unload"})


class OllamaDecoder:
    """Decodes the lines of one streamed chat or completion; see ``localagent.Decoder``.

    A complete stream ends with a line that has ``done: true``. An answer that arrives in one piece is such a line.

    Args:
        attempt: The attempt that the stream answers.
        max_line: The most bytes of one line.
        with_usage: Whether to end with a chunk that contains only token counts.
        chat: True for a chat, False for a text completion.

    Attributes:
        done: Whether the last line has arrived.
        usage: Token counts, after the last line.
        finish_reason: Why the answer ended, after the last line.
        facts: Where the time went, after the last line: ``load_seconds``, ``prompt_seconds``, ``generation_seconds``.
        rest: Chunks that preceded the error that ``feed`` raised.
    """

    __slots__ = (
        "_attempt",
        "_begun",
        "_called",
        "_chat",
        "_created",
        "_id",
        "_lines",
        "_model",
        "_object",
        "_with_usage",
        "done",
        "facts",
        "finish_reason",
        "rest",
        "usage",
    )

    def __init__(
        self, attempt: Attempt, *, max_line: int = 8 * 1024 * 1024, with_usage: bool = False, chat: bool = True
    ) -> None:
        self._attempt = attempt
        self._lines = NDJSONParser(max_line=max_line)
        self._with_usage = with_usage
        self._chat = chat
        self._id = f"chatcmpl-{attempt.call.id}" if chat else f"cmpl-{attempt.call.id}"
        self._object = "chat.completion.chunk" if chat else "text_completion"
        self._created = int(attempt.call.wall_time())
        self._model = attempt.target.model
        self._begun = False
        self._called = 0
        self.done = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.facts: Mapping[str, Any] = {}
        self.rest: list[Chunk] = []

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that these bytes complete; ``done`` is true once the last line has arrived.

        Raises:
            LocalAgentError: A line contains an error, which is translated, or breaks the protocol. ``rest`` has the
                earlier chunks.
        """
        chunks: list[Chunk] = []
        try:
            lines = self._lines.feed(data)
            if lines:
                refuse_dense(lines[0])  # only the first can be larger than the received data
            for line in lines:
                if self.done:
                    break
                self._read(line, chunks)
        except LocalAgentError:
            self.rest = chunks
            raise
        return chunks

    def meaningful(self, chunk: Chunk) -> bool:
        """Return True: a line without content does not become a chunk."""
        return True

    def end(self) -> list[Chunk]:
        """Handle the end of the bytes; a last line without a newline counts if it is complete.

        Raises:
            StreamInterrupted: No line had ``done: true``.
        """
        chunks: list[Chunk] = []
        if not self.done:
            self._read_rest(chunks)
        return chunks

    def _read_rest(self, chunks: list[Chunk]) -> None:
        line = self._lines.rest()
        if line:
            refuse_dense(line)
            self._read_last(line, chunks)
        if not self.done:
            self.rest = chunks
            raise self._cut()

    def _read_last(self, line: bytes, chunks: list[Chunk]) -> None:
        try:
            self._read(line, chunks)
        except UpstreamProtocol:
            if line.startswith(b"{"):  # a line that was cut
                raise self._cut() from None
            raise

    def _read(self, line: bytes, chunks: list[Chunk]) -> None:
        """Convert a line to chunks; most lines become one."""
        try:
            answer = _decode(line)
        except UnicodeDecodeError:
            self._read(line.decode(errors="replace").encode(), chunks)
            return
        except BROKEN_JSON:
            raise broken(line, self._attempt) from None
        if answer.error is not None:
            raise inner_error(line, self._attempt)
        if answer.model and len(answer.model) <= LONGEST_NAME:
            self._model = answer.model
        if self._chat:
            self._message(answer, chunks)
        elif answer.response:
            chunks.append(self._chunk(Choice(0, None, text=answer.response), answer.response))
        if answer.done:
            self._finish(answer, chunks)

    def _message(self, answer: Answer, chunks: list[Chunk]) -> None:
        message = answer.message
        if message is None:
            return
        text = message.content or ""
        if text or message.thinking or answer.logprobs:
            delta = Delta(self._role(), text or None, message.thinking or None)
            chunks.append(self._chunk(Choice(0, None, delta, logprobs=logprobs(answer)), text))
        if message.tool_calls:
            chunks += [self._tool_call(native) for native in message.tool_calls]

    def _tool_call(self, native: ToolCall) -> Chunk:
        made = call(native, self._attempt.call.id, self._called)
        made.index = self._called
        self._called += 1
        return self._chunk(Choice(0, None, Delta(self._role(), tool_calls=[made])))

    def _finish(self, answer: Answer, chunks: list[Chunk]) -> None:
        if answer.done_reason in LOADED and not self._begun:
            raise only_loaded(self._attempt)
        self.finish_reason = finish_reason(answer, called=bool(self._called))
        self.usage = usage(answer)
        self.facts = spent = timings(answer)
        self.done = True
        chunks.append(self._chunk(self._last_choice(), spent=spent or None))
        if self._with_usage:
            chunks.append(self._cost())

    def _last_choice(self) -> Choice:
        if self._chat:
            return Choice(0, self.finish_reason, Delta(self._role()))
        return Choice(0, self.finish_reason, text="")

    def _role(self) -> str | None:
        """Return the role for the first piece of a message, None for all others."""
        return None if self._begun else "assistant"

    def _chunk(self, choice: Choice, text: str = "", spent: dict[str, float] | None = None) -> Chunk:
        self._begun = True
        document = Document(self._id, self._object, self._created, self._model, [choice], None, spent)
        return Chunk(encode(document), text)

    def _cost(self) -> Chunk:
        document = Document(self._id, self._object, self._created, self._model, [], tokens(self.usage))
        return Chunk(encode(document))

    def _cut(self) -> StreamInterrupted:
        return StreamInterrupted("The stream ended before its last line.", target=str(self._attempt.target),
                                 phase="read", advice=UpstreamProtocol.default_advice)  # fmt: skip
