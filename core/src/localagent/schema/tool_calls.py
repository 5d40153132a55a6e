"""Decides which tool call a piece belongs to: the same rule for all readers of answers."""

from __future__ import annotations

from typing import Any

import msgspec


class ToolCall:
    """A tool call, as far as it has arrived.

    Attributes:
        place: Its number, in the order of appearance.
        index: The index of its first piece, else that piece's place in its event.
        id: Its id, the first that is not empty; empty until one arrives.
        name: The tool. A name that arrives in pieces is concatenated, one that is repeated is not.
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
        """Add a piece to this call."""
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

    Pieces of a call share its index. Some servers give all calls the index 0, or none. So a piece with a name starts
    another call if its id differs; if arguments have begun and its name differs; or if the call so far is complete in
    one piece and ids do not show that the two are the same. A piece without an index gets that of its id, else its
    place in the event. Otherwise it belongs to the latest call with its index.
    """

    __slots__ = ("_index_of", "_known", "all")

    def __init__(self) -> None:
        self.all: list[ToolCall] = []
        self._known: dict[tuple[int, str], ToolCall] = {}  # by index and id; the id "" means the latest piece's call
        self._index_of: dict[str, int] = {}  # the first index that came with an id

    def find(self, position: int, index: Any, id: Any, function: Any, arguments: Any = None) -> ToolCall:
        """Return the call that a piece belongs to; if it begins one, a new call at the end of ``all``.

        Args:
            position: The piece's place in its event.
            index: Its ``index``, unchecked.
            id: Its ``id``, unchecked.
            function: The name of its function, unchecked.
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
    """Whether arguments, as text or decoded, are one complete JSON object."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
    return isinstance(arguments, dict)
