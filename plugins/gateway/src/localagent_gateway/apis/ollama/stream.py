"""Writes Ollama's streams: one JSON object a line, the last one with ``done: true``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

import msgspec

from localagent import AnswerStream, Chunk, LocalAgentError
from localagent.schema import Joiner
from localagent_gateway.apis.ollama.answers import decoded, durations, finish, message, piece, timestamp
from localagent_gateway.apis.ollama.documents import Choice, Spoken
from localagent_gateway.apis.ollama.errors import error_line

_lines = msgspec.json.Encoder().encode_lines
_NOTHING = Spoken()


class LineWriter:
    """Writes one stream. A tool call, which the OpenAI schema sends in pieces, is told whole and before the last line.

    Args:
        chat: Whether ``/api/chat`` was asked; ``/api/generate`` otherwise.
        wall: Returns the seconds since the epoch.
        started: When the request came in, on the performance counter, in nanoseconds.
    """

    content_type = "application/x-ndjson"

    def __init__(self, *, chat: bool, wall: Callable[[], float], started: int) -> None:
        self._chat = chat
        self._wall = wall
        self._started = started
        self._first = started
        self._model = ""
        self._calls: Joiner | None = None
        self._timings: dict[str, Any] | None = None

    def begin(self, model: str) -> None:
        """Take note that the first content has come, and from whom."""
        self._model = model
        self._first = perf_counter_ns()

    def chunks(self, chunks: Sequence[Chunk]) -> bytes:
        """Return a line for each chunk that says something."""
        created = timestamp(self._wall())
        lines = [line for chunk in chunks if (line := self._line(chunk, created)) is not None]
        return _lines(lines) if lines else b""

    def _line(self, chunk: Chunk, created: str) -> Any:
        event = decoded(chunk.data)
        if event.timings:
            self._timings = event.timings
        if not event.choices:
            return None
        choice = event.choices[0]
        spoken = choice.delta or choice.message or _NOTHING
        if spoken.tool_calls:
            self._gather(chunk)
            spoken.tool_calls = None
        said = message(spoken, choice.text)
        if not said.content and not said.thinking and choice.logprobs is None:
            return None
        return piece(self._model, created, said, choice, chat=self._chat)

    def _gather(self, chunk: Chunk) -> None:
        if self._calls is None:
            self._calls = Joiner()
        self._calls.add(chunk.data)

    def end(self, stream: AnswerStream) -> bytes:
        """Return the tool calls, and the last line: why the answer ended, what it cost and how long it took.

        What the server does not tell of its time is measured here: until the first content, and from there on.
        """
        created = timestamp(self._wall())
        now = perf_counter_ns()
        last = piece(self._model, created, message(_NOTHING), Choice(), chat=self._chat)
        finish(last, stream.finish_reason, stream.usage)
        last.total_duration = now - self._started
        last.prompt_eval_duration = self._first - self._started
        last.eval_duration = now - self._first
        for name, spent in durations(stream.facts, self._timings).items():
            setattr(last, name, spent)
        return _lines([*self._tool_calls(created), last])

    def _tool_calls(self, created: str) -> list[Any]:
        if self._calls is None:
            return []
        answer = decoded(msgspec.json.encode(self._calls.document()))
        choice = answer.choices[0] if answer.choices else Choice()
        said = message(Spoken(tool_calls=choice.message.tool_calls if choice.message else None))
        return [piece(self._model, created, said, Choice(), chat=self._chat)]

    def fail(self, error: LocalAgentError) -> bytes:
        """Return the error as a line: Ollama's clients raise it."""
        return error_line(error) + b"\n"
