"""What is read of answers in the OpenAI schema: the fields that Anthropic's API can tell."""

from __future__ import annotations

from typing import Any

import msgspec

from localagent import UpstreamProtocol


class Function(msgspec.Struct, gc=False):
    """The function of a tool call, or a piece of it."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function = msgspec.field(default_factory=Function)


class Spoken(msgspec.Struct, gc=False):
    """A message, or a piece of one."""

    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def thought(self) -> str:
        """The reasoning, by either of its names."""
        return self.reasoning_content or self.reasoning or ""

    @property
    def text(self) -> str:
        """The text, a refusal's too, which Anthropic's API tells by the stop reason alone.

        Raises:
            UpstreamProtocol: The content is something else.
        """
        content = self.content
        if isinstance(content, list):  # some servers answer in parts
            content = "".join([_text(part) for part in content])
        if not isinstance(content, str | None):
            raise _unreadable("its content is no text")
        return (content or "") + (self.refusal or "")


class Choice(msgspec.Struct, gc=False):
    """A choice of an answer.

    Attributes:
        stop_reason: A vendor field (vLLM): the stop sequence that ended the answer.
    """

    index: int = 0
    message: Spoken | None = None
    delta: Spoken | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class _Answer(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def first_choice(data: bytes) -> Choice | None:
    """Read the first choice of an answer, or of a chunk of one; None when it tells nothing of it.

    Only one choice is ever told: no request of Anthropic's asks for more.

    Raises:
        UpstreamProtocol: The answer has not the shape of one.
    """
    try:
        choices = _decode(data).choices
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(type(error).__name__) from None
    return next((choice for choice in choices or () if choice.index == 0), None)


def _text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise _unreadable("a part of it is no text")
    return text


def _unreadable(why: str) -> UpstreamProtocol:
    return UpstreamProtocol(f"The server's answer cannot be told in Anthropic's API ({why}).")
