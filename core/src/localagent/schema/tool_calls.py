"""Which tool call a piece belongs to: the one rule for all readers of answers."""

from __future__ import annotations

from typing import Any

import msgspec


class ToolCall:
    """A tool call, as far as it has come.

    Attributes:
        place: Its number, in the order of appearance.
        index: The index under which its first piece came, else that piece's place in its event.
        id: Its id, the first that is not empty; empty until one comes.
        name: The tool. A name that comes in pieces is concatenated, one that is repeated is not.
    """

    __slots__ = ("_only", "_pieces", "id", "index", "name", "place")

    def __init__(self, place: int, index: int) -> None:
        self.place = place
        self.index = index
        self.id = ""
        self.name = ""
        self._only: Any = None
        self._pieces = 0

    def take(self, id: str, name: str, arguments: Any) -> None:
        """Take note of a piece of this call."""
        self.id = self.id or id
        if name != self.name:
            self.name += name
        if arguments:
            self._pieces += 1
            self._only = arguments if self._pieces == 1 else None

    def ends_before(self, id: str, name: str, arguments: Any) -> bool:
        """Whether a piece with the same index is the first of another call."""
        if not name:
            return False
        if id and self.id and id != self.id:
            return True
        if not self._pieces or not self.name:
            return False
        return name != self.name or bool(arguments and not (id and self.id) and is_object(self._only))


class ToolCalls:
    """The tool calls of one message.

    Pieces of a call share its index. Some servers give all calls the index 0, or none. So a named piece is another
    call when its id is another one; when arguments have begun and it has another name; or when the call so far came
    whole, in one piece, and ids do not say that the two are one. A piece without an index has that of its id, else its
    place in the event. Beyond that it belongs to the call that was last spoken of under its index.
    """

    __slots__ = ("_index_of", "_known", "all")

    def __init__(self) -> None:
        self.all: list[ToolCall] = []
        self._known: dict[tuple[int, str], ToolCall] = {}  # by index and id; the id "" is the latest piece's call
        self._index_of: dict[str, int] = {}  # the first index that came with an id

    def find(self, position: int, index: Any, id: Any, function: Any, arguments: Any = None) -> ToolCall:
        """Return the call that a piece belongs to, a new one at the end of ``all`` where it begins one.

        Args:
            position: The piece's place in its event.
            index: Its ``index``, as it came.
            id: Its ``id``, as it came.
            function: The name of its function, as it came.
            arguments: Its arguments, as text or object.
        """
        id, name = str(id or ""), function if isinstance(function, str) else ""
        if type(index) is not int:
            index = self._index_of.get(id, position)
        if id:
            self._index_of.setdefault(id, index)
        call = self._known.get((index, id), self._known.get((index, "")))
        if call is None or call.ends_before(id, name, arguments):
            call = ToolCall(len(self.all), index)
            self.all.append(call)
        call.take(id, name, arguments)
        self._known[index, ""] = self._known[index, id] = call
        return call


def is_object(arguments: Any) -> bool:
    """Whether arguments, as text or decoded, are one whole JSON object."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
    return isinstance(arguments, dict)
