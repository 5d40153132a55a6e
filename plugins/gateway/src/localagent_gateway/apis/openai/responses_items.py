"""The output of a response: its items open, grow and close, as events of the Responses API; sans-I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from localagent.schema import AnswerEvent, CallBegun, CallPiece, Ended, Refusal, Text

Document = dict[str, Any]
Events = list[tuple[str, Document]]

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The reason for an incomplete answer, by its finish reason."""


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
        """Return the events for the start of the item."""
        return [("response.output_item.added", {"output_index": self.place, "item": self.document()})]

    def close(self, status: str) -> Events:
        """Return the events for the end of the item; an empty list the second time."""
        if self.status != "in_progress":
            return []
        events = self._inner_close(status)
        self.status = status
        return [*events, ("response.output_item.done", {"output_index": self.place, "item": self.document()})]

    @abstractmethod
    def _inner_close(self, status: str) -> Events:
        """Return the events for the end of the item's last part."""

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
        """Return the events for further text of the message.

        Args:
            kind: ``output_text`` or ``refusal``.
            text: The further text.
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

    def _inner_close(self, status: str = "completed") -> Events:
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
    """The model's thoughts, in one part."""

    def __init__(self, id: str, place: int) -> None:
        super().__init__(id, place)
        self._pieces: list[str] = []

    def document(self) -> Document:
        """Return the item as it is now."""
        return reasoning_item(self.id, "".join(self._pieces), self.status)

    def more(self, kind: str, text: str) -> Events:
        """Return the events for further thoughts; ``kind`` is ignored."""
        events: Events = []
        if not self._pieces:
            events.append(("response.content_part.added", self._inside(part=_thought(""))))
        self._pieces.append(text)
        events.append(("response.reasoning_text.delta", self._inside(delta=text)))
        return events

    def _inner_close(self, status: str) -> Events:
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

    def document(self) -> Document:
        """Return the item as it is now."""
        return call_item(self.id, self.call_id, self._name, "".join(self._pieces), self.status)

    def more(self, arguments: str) -> Events:
        """Return the events for further arguments."""
        self._pieces.append(arguments)
        return [("response.function_call_arguments.delta", self._where(delta=arguments))]

    def _inner_close(self, status: str) -> Events:
        events = self.more("{}") if status == "completed" and not self._pieces else []
        fields = self._where(arguments="".join(self._pieces), name=self._name)
        return [*events, ("response.function_call_arguments.done", fields)]


def _thought(text: str) -> Document:
    return {"type": "reasoning_text", "text": text}


ItemT = TypeVar("ItemT", Message, Reasoning)


class Output:
    """The items of one answer.

    Calls stay open until the answer has ended, because their pieces may alternate; only one message or reasoning item
    is open at a time.

    Args:
        new_id: Returns the id of an item for its prefix (msg, fc or rs) and its place.
    """

    def __init__(self, new_id: Callable[[str, int], str]) -> None:
        self._new_id = new_id
        self._items: list[Item] = []
        self._calls: dict[int, FunctionCall] = {}
        self._growing: Item | None = None

    def documents(self) -> list[Document]:
        """Return the items as they are now."""
        return [item.document() for item in self._items]

    def take(self, event: AnswerEvent) -> Events:
        """Return the events for one event of the answer; its end closes all open items."""
        if isinstance(event, Text):
            return self._grow(Message, "msg", "output_text", event.text) if event.text else []
        if isinstance(event, CallPiece):
            return self._calls[event.place].more(event.arguments)
        if isinstance(event, CallBegun):
            return self._begin(event)
        if isinstance(event, Ended):
            return self._end(item_status(event.finish_reason))
        if isinstance(event, Refusal):
            return self._grow(Message, "msg", "refusal", event.text)
        return self._grow(Reasoning, "rs", "", event.text)

    def _begin(self, event: CallBegun) -> Events:
        place = len(self._items)
        id = self._new_id("fc", place)
        call = FunctionCall(id, place, event.id or id.replace("fc", "call", 1), event.name)
        self._calls[event.place] = call
        return self._close_growing() + self._open(call)

    def _grow(self, kind: type[ItemT], prefix: str, part: str, text: str) -> Events:
        """Extend the open item if it is of this kind; otherwise close it and start a new one."""
        events: Events = []
        item = self._growing
        if not isinstance(item, kind):
            place = len(self._items)
            item = kind(self._new_id(prefix, place), place)
            events = self._close_growing() + self._open(item)
            self._growing = item
        return events + item.more(part, text)

    def _open(self, item: Item) -> Events:
        self._items.append(item)
        return item.open()

    def _close_growing(self) -> Events:
        growing, self._growing = self._growing, None
        return growing.close("completed") if growing is not None else []

    def _end(self, status: str) -> Events:
        """Close all items; an empty answer has an empty message."""
        events = [] if self._items else self._grow(Message, "msg", "output_text", "")
        for item in self._items:
            events += item.close(status if item is self._items[-1] else "completed")
        return events

    def break_off(self) -> None:
        """Close all items without events, because clients would run a call that is reported as done."""
        for item in self._items:
            item.close("incomplete")


def item_status(finish: str) -> str:
    """Return the status of the last item of an answer with this finish reason."""
    return "incomplete" if finish in INCOMPLETE else "completed"


def text_part(text: str) -> Document:
    """Return a text part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Document:
    """Return a part of a message with the model's refusal."""
    return {"type": "refusal", "refusal": text}


def message_item(id: str, parts: list[Document], status: str) -> Document:
    """Return a message."""
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": parts}


def reasoning_item(id: str, text: str, status: str) -> Document:
    """Return an item with the model's thoughts."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": id, "type": "reasoning", "status": status, "summary": [], "content": content}


def call_item(id: str, call_id: str, name: str, arguments: str, status: str) -> Document:
    """Return a call of a function."""
    return {"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
            "arguments": arguments}  # fmt: skip
