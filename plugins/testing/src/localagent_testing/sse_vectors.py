"""Event streams and their events according to the standard, for tests of parsers of server-sent events.

Written from the WHATWG HTML standard, sections "Parsing an event stream" and "Interpreting an event stream". Each
vector names the rule that decides. A parser must return the same events for every way to cut the bytes into pieces.

    from localagent_testing.sse_vectors import SSE_VECTORS

    @pytest.mark.parametrize("vector", SSE_VECTORS, ids=lambda vector: vector.name)
    def test_my_parser(vector):
        assert [(event.type, event.data) for event in my_parser(vector.stream)] == vector.pairs
"""

from __future__ import annotations

import attrs

__all__ = ["SSE_VECTORS", "SSEEvent", "SSEVector"]


@attrs.frozen
class SSEEvent:
    """One dispatched event.

    Attributes:
        data: The payload, several ``data`` lines joined with LF; may contain invalid UTF-8.
        type: The ``event`` field; ``message`` if it is missing or empty.
        id: The last event id of the stream so far. It stays until the stream sets another one.
        retry: Reconnection time in milliseconds that the stream has set since the previous event; None if it did not.
    """

    data: bytes
    type: str = "message"
    id: str = ""
    retry: int | None = None


@attrs.frozen
class SSEVector:
    """One stream with its events.

    Attributes:
        name: Unique, suitable as a test id.
        stream: The whole stream, up to its end.
        events: The dispatched events in order, with type, id and retry.
        rule: The rule of the standard that decides.
    """

    name: str
    stream: bytes
    events: tuple[SSEEvent, ...]
    rule: str

    @property
    def pairs(self) -> list[tuple[str, bytes]]:
        """The events as (type, data), for parsers that return no more."""
        return [(event.type, event.data) for event in self.events]


def _vector(name: str, stream: bytes, *events: SSEEvent | bytes, rule: str) -> SSEVector:
    whole = tuple(SSEEvent(event) if isinstance(event, bytes) else event for event in events)
    return SSEVector(name, stream, whole, rule)


_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = "A line ends with CR LF, with LF alone, or with CR alone; with nothing else."
_BOM_ONCE = "The stream is decoded with UTF-8 decode, which strips one byte order mark at the very start."
_COMMENT = "A line that starts with a colon is ignored."
_FIELD = "A line with a colon is a field: the name is before the first colon, the value after it."
_SPACE = "If the value starts with a space, that one space is removed."
_NO_COLON = "A line without a colon is a field with the whole line as its name and an empty value."
_DATA = "A data field appends its value and an LF to the data buffer; dispatch removes the last LF."
_EVENT = "An event field sets the type buffer to its value; an empty buffer means the type message."
_ID = "An id field sets the last event id unless its value holds NUL; dispatch does not reset it."
_RETRY = "A retry field counts only if its value is nothing but ASCII digits."
_UNKNOWN = "A field of any other name is ignored; names are compared as they are, case and all."
_NO_DATA = "An empty line with an empty data buffer dispatches nothing and resets the type buffer."
_END = "At the end of the stream an event without its empty line is discarded."
_UTF8 = "Bytes that are not UTF-8 become U+FFFD when the text is decoded; they end nothing."

_LINE_END_VECTORS = (
    _vector("lf", b"data: a\n\ndata: b\n\n", b"a", b"b", rule=_LINE_ENDS),
    _vector("crlf", b"data: a\r\n\r\ndata: b\r\n\r\n", b"a", b"b", rule=_LINE_ENDS),
    _vector("cr", b"data: a\r\rdata: b\r\r", b"a", b"b", rule=_LINE_ENDS),
    _vector("mixed_line_ends", b"data: a\n\rdata: b\r\n\ndata: c\r\r\n", b"a", b"b", b"c", rule=_LINE_ENDS),
    _vector("lf_then_crlf_in_one_event", b"data: a\ndata: b\r\ndata: c\rdata: d\n\n", b"a\nb\nc\nd", rule=_LINE_ENDS),
    _vector("crlf_is_one_line_end", b"data: a\r\ndata: b\r\n\r\n", b"a\nb", rule=_LINE_ENDS),
    _vector("cr_between_lines_and_lf_behind", b"data: a\rdata: b\n\n", b"a\nb", rule=_LINE_ENDS),
    _vector("crlf_then_lf", b"data: a\r\n\n", b"a", rule=_LINE_ENDS),
    _vector("cr_at_the_very_end", b"data: a\n\r", b"a", rule=_LINE_ENDS),
    _vector(
        "unicode_line_separators_are_text",
        b"data: a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85d\n\n",
        b"a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85d",
        rule=_LINE_ENDS,
    ),
    _vector(
        "control_characters_are_text",
        b"data: a\x0bb\x0cc\x1cd\x1de\x1ef\x00g\n\n",
        b"a\x0bb\x0cc\x1cd\x1de\x1ef\x00g",
        rule=_LINE_ENDS,
    ),
    _vector("many_empty_lines", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", b"a", b"b", rule=_NO_DATA),
)

_BOM_VECTORS = (
    _vector("bom_at_the_start", _BOM + b"data: a\n\n", b"a", rule=_BOM_ONCE),
    _vector("second_bom_is_part_of_the_name", _BOM * 2 + b"data: a\n\ndata: b\n\n", b"b", rule=_BOM_ONCE),
    _vector("bom_after_the_start_is_part_of_the_name", b"data: a\n\n" + _BOM + b"data: b\n\n", b"a", rule=_BOM_ONCE),
    _vector("bom_inside_data_stays", b"data: " + _BOM + b"a\n\n", _BOM + b"a", rule=_BOM_ONCE),
    _vector("two_bytes_of_a_bom_are_no_bom", b"\xef\xbbdata: a\n\ndata: b\n\n", b"b", rule=_BOM_ONCE),
    _vector("bom_before_an_empty_line", _BOM + b"\ndata: a\n\n", b"a", rule=_BOM_ONCE),
    _vector("nothing_but_a_bom", _BOM, rule=_BOM_ONCE),
)

_COMMENT_VECTORS = (
    _vector("comment_alone", b": keep-alive\n\n", rule=_COMMENT),
    _vector("empty_comments", b":\n:\n\n:\n", rule=_COMMENT),
    _vector("comment_before_data", b": PROCESSING\n\ndata: a\n\n", b"a", rule=_COMMENT),
    _vector("comment_between_data_lines", b"data: a\n:data: b\ndata: c\n\n", b"a\nc", rule=_COMMENT),
    _vector("comment_glued_to_an_event", b":data: a\ndata: b\n\n", b"b", rule=_COMMENT),
)

_FIELD_VECTORS = (
    _vector("no_space_after_the_colon", b"data:a\n\n", b"a", rule=_SPACE),
    _vector("one_space_is_removed", b"data:  a \n\n", b" a ", rule=_SPACE),
    _vector("a_tab_is_no_space", b"data:\ta\n\n", b"\ta", rule=_SPACE),
    _vector("value_of_one_space", b"data: \n\n", b"", rule=_SPACE),
    _vector("later_colons_belong_to_the_value", b"data: a:b: c\n\n", b"a:b: c", rule=_FIELD),
    _vector("data_without_colon", b"data\n\n", b"", rule=_NO_COLON),
    _vector("two_data_lines_without_colon", b"data\ndata\n\n", b"\n", rule=_NO_COLON),
    _vector("data_of_a_colon_alone", b"data:\n\n", b"", rule=_DATA),
    _vector("three_data_lines", b'data: {"a":\ndata: 1\ndata: }\n\n', b'{"a":\n1\n}', rule=_DATA),
    _vector("empty_data_line_in_the_middle", b"data: a\ndata:\ndata: b\n\n", b"a\n\nb", rule=_DATA),
    _vector("last_data_line_empty", b"data: a\ndata\n\n", b"a\n", rule=_DATA),
    _vector("name_in_capitals", b"Data: a\nDATA: b\ndata: c\n\n", b"c", rule=_UNKNOWN),
    _vector("space_before_the_name", b" data: a\ndata: b\n\n", b"b", rule=_UNKNOWN),
    _vector("space_behind_the_name", b"data : a\ndata: b\n\n", b"b", rule=_UNKNOWN),
    _vector("nul_in_the_name", b"data\0: a\n\0data: b\ndata: c\n\n", b"c", rule=_UNKNOWN),
    _vector("unknown_fields", b"foo: a\ndatax: b\ndat: c\nbar\ndata: d\n\n", b"d", rule=_UNKNOWN),
    _vector("payload_without_a_name", b'{"error":"x"}\n\ndata: a\n\n', b"a", rule=_UNKNOWN),
    _vector("done_is_data_like_any", b"data: a\n\ndata: [DONE]\n\n", b"a", b"[DONE]", rule=_DATA),
    _vector("data_that_looks_like_fields", b"data: data: a\ndata: event: b\n\n", b"data: a\nevent: b", rule=_FIELD),
)

_EVENT_VECTORS = (
    _vector("type", b"event: delta\ndata: a\n\n", SSEEvent(b"a", "delta"), rule=_EVENT),
    _vector("type_behind_the_data", b"data: a\nevent: delta\n\n", SSEEvent(b"a", "delta"), rule=_EVENT),
    _vector("last_type_counts", b"event: a\nevent: b\ndata: c\n\n", SSEEvent(b"c", "b"), rule=_EVENT),
    _vector("empty_type_is_message", b"event: a\nevent:\ndata: b\n\n", b"b", rule=_EVENT),
    _vector("type_without_colon_is_message", b"event\ndata: a\n\n", b"a", rule=_EVENT),
    _vector("type_keeps_further_spaces", b"event:  a \ndata: b\n\n", SSEEvent(b"b", " a "), rule=_EVENT),
    _vector("type_holds_for_one_event", b"event: a\ndata: b\n\ndata: c\n\n", SSEEvent(b"b", "a"), b"c", rule=_EVENT),
    _vector("type_without_data", b"event: ping\n\ndata: a\n\n", b"a", rule=_NO_DATA),
    _vector("type_in_utf8", b"event: \xc3\xa4\ndata: a\n\n", SSEEvent(b"a", "ä"), rule=_EVENT),
)

_ID_VECTORS = (
    _vector("id_holds", b"id: 1\ndata: a\n\ndata: b\n\n", SSEEvent(b"a", id="1"), SSEEvent(b"b", id="1"), rule=_ID),
    _vector("id_without_data_counts", b"id: 1\n\ndata: a\n\n", SSEEvent(b"a", id="1"), rule=_ID),
    _vector("empty_id_resets", b"id: 1\ndata: a\n\nid\ndata: b\n\n", SSEEvent(b"a", id="1"), b"b", rule=_ID),
    _vector("id_with_nul_is_ignored", b"id: 1\nid: 2\0\ndata: a\n\n", SSEEvent(b"a", id="1"), rule=_ID),
    _vector("empty_lines_behind_an_id", b"id: 1\ndata: a\n\n\n\n", SSEEvent(b"a", id="1"), rule=_NO_DATA),
    _vector("comment_behind_an_id", b"id: 1\ndata: a\n\n: keep-alive\n\n", SSEEvent(b"a", id="1"), rule=_NO_DATA),
    _vector("id_of_an_event_that_is_cut", b"data: a\n\nid: 1\ndata: b\n", b"a", rule=_END),
)

_RETRY_VECTORS = (
    _vector("retry", b"retry: 1500\ndata: a\n\ndata: b\n\n", SSEEvent(b"a", retry=1500), b"b", rule=_RETRY),
    _vector("retry_without_data_counts", b"retry: 7\n\ndata: a\n\n", SSEEvent(b"a", retry=7), rule=_RETRY),
    _vector("retry_with_leading_zeros", b"retry: 007\ndata: a\n\n", SSEEvent(b"a", retry=7), rule=_RETRY),
    _vector("retry_with_a_unit", b"retry: 1000x\ndata: a\n\n", b"a", rule=_RETRY),
    _vector("retry_with_a_sign", b"retry: +5\nretry: -5\ndata: a\n\n", b"a", rule=_RETRY),
    _vector("retry_with_a_second_space", b"retry:  5\nretry: 6 \ndata: a\n\n", b"a", rule=_RETRY),
    _vector("retry_with_an_underscore", b"retry: 1_000\ndata: a\n\n", b"a", rule=_RETRY),
    _vector("retry_in_other_digits", "retry: ٣\ndata: a\n\n".encode(), b"a", rule=_RETRY),
    _vector("retry_empty", b"retry\nretry:\ndata: a\n\n", b"a", rule=_RETRY),
)

_END_VECTORS = (
    _vector("nothing", b"", rule=_END),
    _vector("cut_behind_the_line", b"data: a\n\ndata: b\n", b"a", rule=_END),
    _vector("cut_inside_the_line", b"data: a\n\ndata: b", b"a", rule=_END),
    _vector("cut_between_cr_and_lf", b"data: a\r\n\r\ndata: b\r", b"a", rule=_END),
    _vector("error_without_its_empty_line", b'data: a\n\ndata: {"error":{}}', b"a", rule=_END),
)

_UTF8_VECTORS = (
    _vector(
        "characters_of_every_length",
        "data: äß€😀e\u0301\n\n".encode(),
        "äß€😀e\u0301".encode(),
        rule="A line is any characters but CR and LF.",
    ),
    _vector("invalid_bytes_stay_in_the_payload", b"data: a\xff\xc3\n\ndata: b\n\n", b"a\xff\xc3", b"b", rule=_UTF8),
    _vector("invalid_bytes_in_the_type", b"event: a\xff\ndata: b\n\n", SSEEvent(b"b", "a\ufffd"), rule=_UTF8),
    _vector("invalid_bytes_in_the_id", b"id: 1\xff\ndata: b\n\n", SSEEvent(b"b", id="1\ufffd"), rule=_UTF8),
    _vector("cut_character_does_not_eat_the_line_end", b"data: \xf0\x9f\x98\n\n", b"\xf0\x9f\x98", rule=_UTF8),
)

SSE_VECTORS: tuple[SSEVector, ...] = (
    _LINE_END_VECTORS
    + _BOM_VECTORS
    + _COMMENT_VECTORS
    + _FIELD_VECTORS
    + _EVENT_VECTORS
    + _ID_VECTORS
    + _RETRY_VECTORS
    + _END_VECTORS
    + _UTF8_VECTORS
)
"""Every vector. Names are unique."""
