"""The items of a streamed response: how each opens, grows and closes, as events of the Responses API; sans-I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from localagent_gateway.apis.openai.responses_answer import (
    call_item,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
)

Document = dict[str, Any]
Events = list[tuple[str, Document]]


class Item(ABC):
    """An item of the output: it has an id, a place in the output, and a status.

    Args:
        id: The item's id.
        place: Its place in the output.
    """

    def __init__(self, id: str, place: int) -> None:
        self.id = id
        self.place = place
        self.status = "in_progress"

    @abstractmethod
    def document(self) -> Document:
        """Return the item as it is now."""

    def open(self) -> Events:
        """Return what says that the item begins."""
        return [("response.output_item.added", {"output_index": self.place, "item": self.document()})]

    def close(self, status: str) -> Events:
        """Return what says that the item is done; nothing the second time."""
        if self.status != "in_progress":
            return []
        events = self._inner_close()
        self.status = status
        return [*events, ("response.output_item.done", {"output_index": self.place, "item": self.document()})]

    @abstractmethod
    def _inner_close(self) -> Events:
        """Return what says that what grew in the item is done."""

    def _where(self, **more: Any) -> Document:
        return {"item_id": self.id, "output_index": self.place, **more}


class Message(Item):
    """A message: parts of text or refusal, one growing at a time."""

    def __init__(self, id: str, place: int) -> None:
        super().__init__(id, place)
        self._parts: list[Document] = []
        self._kind = ""
        self._pieces: list[str] = []

    def document(self) -> Document:
        """Return the message as it is now."""
        grown = [self._part("".join(self._pieces))] if self._kind else []
        return message_item(self.id, self._parts + grown, self.status)

    def more(self, kind: str, text: str) -> Events:
        """Return what says that the message goes on.

        Args:
            kind: ``output_text`` or ``refusal``.
            text: The text that comes to it.
        """
        events: Events = []
        if kind != self._kind:
            events = self._inner_close()
            self._kind = kind
            events.append(("response.content_part.added", self._inside(part=self._part(""))))
        if text:
            self._pieces.append(text)
            events.append((f"response.{kind}.delta", self._inside(delta=text, **self._logprobs())))
        return events

    def _inner_close(self) -> Events:
        if not self._kind:
            return []
        text = "".join(self._pieces)
        part = self._part(text)
        said = {"text": text} if self._kind == "output_text" else {"refusal": text}
        events = [
            (f"response.{self._kind}.done", self._inside(**said, **self._logprobs())),
            ("response.content_part.done", self._inside(part=part)),
        ]
        self._parts.append(part)
        self._kind, self._pieces = "", []
        return events

    def _inside(self, **more: Any) -> Document:
        return self._where(content_index=len(self._parts), **more)

    def _part(self, text: str) -> Document:
        return text_part(text) if self._kind == "output_text" else refusal_part(text)

    def _logprobs(self) -> Document:
        return {"logprobs": []} if self._kind == "output_text" else {}


class Reasoning(Item):
    """What the model thinks, in one part."""

    def __init__(self, id: str, place: int) -> None:
        super().__init__(id, place)
        self._pieces: list[str] = []

    def document(self) -> Document:
        """Return the item as it is now."""
        return reasoning_item(self.id, "".join(self._pieces), self.status)

    def more(self, text: str) -> Events:
        """Return what says that the thinking goes on."""
        events: Events = []
        if not self._pieces:
            events.append(("response.content_part.added", self._inside(part=_thought(""))))
        self._pieces.append(text)
        events.append(("response.reasoning_text.delta", self._inside(delta=text)))
        return events

    def _inner_close(self) -> Events:
        text = "".join(self._pieces)
        return [
            ("response.reasoning_text.done", self._inside(text=text)),
            ("response.content_part.done", self._inside(part=_thought(text))),
        ]

    def _inside(self, **more: Any) -> Document:
        return self._where(content_index=0, **more)


class FunctionCall(Item):
    """A call of a function.

    Args:
        id: The item's id.
        place: Its place in the output.
        call_id: The id by which the function's output is sent back.
        name: The function.
    """

    def __init__(self, id: str, place: int, call_id: str, name: str) -> None:
        super().__init__(id, place)
        self.call_id = call_id
        self._name = name
        self._pieces: list[str] = []

    def precedes(self, call_id: str | None, name: str | None) -> bool:
        """Say whether a piece with the same index begins another call: some servers give all calls one index.

        Args:
            call_id: The piece's id.
            name: The piece's function.
        """
        if not name:
            return False
        return call_id != self.call_id if call_id else bool(self._pieces) and name != self._name

    def document(self) -> Document:
        """Return the item as it is now."""
        return call_item(self.id, self.call_id, self._name, "".join(self._pieces), self.status)

    def more(self, arguments: str) -> Events:
        """Return what says that the arguments go on."""
        self._pieces.append(arguments)
        return [("response.function_call_arguments.delta", self._where(delta=arguments))]

    def _inner_close(self) -> Events:
        fields = self._where(arguments="".join(self._pieces), name=self._name)
        return [("response.function_call_arguments.done", fields)]


def _thought(text: str) -> Document:
    return {"type": "reasoning_text", "text": text}
