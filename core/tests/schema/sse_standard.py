"""Server-sent events as the WHATWG HTML standard describes them, word by word: what parsers are judged by."""

from __future__ import annotations

import re

from localagent_testing.sse_vectors import SSEEvent

BOM = b"\xef\xbb\xbf"


def as_the_standard_says(stream: bytes) -> list[SSEEvent]:
    """The standard's algorithm, word by word, for a whole stream."""
    *whole_lines, _ = re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))
    dispatched: list[SSEEvent] = []
    data, kind, last_id, retry = b"", "", "", None
    for line in whole_lines:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        match field:
            case b"" if not line:
                if data:
                    dispatched.append(SSEEvent(data[:-1], kind or "message", last_id, retry))
                    retry = None
                data, kind = b"", ""
            case b"data":
                data += value + b"\n"
            case b"event":
                kind = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                last_id = value.decode(errors="replace")
            case b"retry" if re.fullmatch(rb"[0-9]+", value):
                retry = int(value)
    return dispatched
