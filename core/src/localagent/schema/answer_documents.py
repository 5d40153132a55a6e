"""The parts of an answer in the OpenAI schema that are read, whole or as an event, with one typed decode each."""

from __future__ import annotations

from typing import Any

import msgspec

from localagent.records.responses import Usage

# A Raw field cannot be optional: msgspec refuses everything but null for ``Raw | None``.
ABSENT = msgspec.Raw(b"")


class Spoken(msgspec.Struct, gc=False):
    """A message, or a piece of one; reasoning has three possible names."""

    content: Any = None
    refusal: Any = None
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None

    @property
    def empty(self) -> bool:
        """Whether it has no text, reasoning, refusal or tool call."""
        said = self.content or self.refusal or self.reasoning_content or self.reasoning or self.thinking
        return not (said or present(self.tool_calls) or present(self.function_call))


class Choice(msgspec.Struct, gc=False):
    """A choice of an answer."""

    index: int | None = 0
    finish_reason: str | None = None
    message: Spoken | None = None
    delta: Spoken | None = None
    text: str | None = None


class Answer(msgspec.Struct, gc=False):
    """The fields of an answer, or of an event, that the pipeline uses; fewer fields make decoding faster."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None


class FullChoice(Choice, gc=False):
    """A choice with all fields that are read; ``stop_reason`` (vLLM) and ``matched_stop`` (SGLang): stop sequence."""

    logprobs: msgspec.Raw = ABSENT
    stop_reason: Any = None
    matched_stop: Any = None
    usage: Any = None


class FullAnswer(msgspec.Struct, gc=False):
    """An answer, or an event of one, with all fields that are read."""

    choices: list[FullChoice] | None = None
    usage: Any = None
    timings: Any = None
    x_groq: Any = None


_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

decode_answer = msgspec.json.Decoder(Answer).decode
decode_full = msgspec.json.Decoder(FullAnswer).decode


def present(field: msgspec.Raw) -> bool:
    """Whether a field has a value other than null and an empty list."""
    return field is not ABSENT and (memoryview(field).nbytes > 4 or bytes(field) not in (b"", b"null", b"[]"))


def usage_in(answer: FullAnswer) -> Usage | None:
    """Return the token counts of an answer or of an event, wherever its server puts them.

    They are next to the choices, in ``x_groq`` (Groq), or in a choice (Moonshot).
    """
    reported = answer.usage
    if reported is None and isinstance(answer.x_groq, dict):
        reported = answer.x_groq.get("usage")
    if reported is None and answer.choices:
        reported = answer.choices[0].usage
    return usage_of(reported)


def usage_of(reported: Any) -> Usage | None:
    """Return the token counts that a server reported; None when it reported none, or they cannot be read.

    Parts that exceed the whole are reduced to it: a sum of parts is never more than what was read or written.
    """
    if not isinstance(reported, dict) or _COUNTS.isdisjoint(reported):
        return None
    get = reported.get
    prompt, completion, total = _count(get("prompt_tokens")), _count(get("completion_tokens")), None
    if prompt is not None and completion is not None:
        total = prompt + completion
    total = _count(get("total_tokens")) or total
    read, written = get("prompt_tokens_details"), get("completion_tokens_details")
    if read is None and written is None:
        return Usage(prompt, completion, total)
    read, written = (details if isinstance(details, dict) else {} for details in (read, written))
    cached = _part(read.get("cached_tokens"), prompt)
    left = prompt if prompt is None or cached is None else prompt - cached
    audio = [count for count in (_count(details.get("audio_tokens")) for details in (read, written)) if count]
    return Usage(
        prompt,
        completion,
        total,
        cached,
        _part(written.get("reasoning_tokens"), completion),
        _part(read.get("cache_write_tokens"), left),
        _part(sum(audio), total) if audio else None,
    )


def _part(value: Any, whole: int | None) -> int | None:
    """Return a count that is a part of another; None when it cannot be read."""
    count = _count(value)
    return count if count is None or whole is None or count <= whole else whole


def _count(value: Any) -> int | None:
    if type(value) is int:
        return value if value >= 0 else None
    return int(value) if isinstance(value, float) and 0 <= value < 1e15 else None
