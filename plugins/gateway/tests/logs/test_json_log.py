"""The log of a serving process: every line is a JSON object, and nobody waits for who reads it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from localagent_gateway.logs import json_log as module
from localagent_gateway.logs.json_log import JsonStream, json_log, line_of
from localagent_gateway.logs.log_writer import ATOMIC, LogWriter, pieces

WALL = 1_700_000_000.0


@attrs.frozen
class Pipe:
    """A pipe that is not read, and lines that go into it.

    Attributes:
        lines: The lines.
        reading: Its end to read from.
        writing: Its other end.
    """

    lines: LogWriter
    reading: io.FileIO
    writing: io.FileIO

    def read(self) -> list[dict[str, Any]]:
        """Read what was put, to the end of the lines."""
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(self.reading.readall()))
        reader.start()
        self.lines.close(30.0)
        self.writing.close()
        reader.join(30.0)
        return [json.loads(line) for line in found[0].splitlines()]


@contextlib.contextmanager
def piped(most: int = 1024 * 1024) -> Iterator[Pipe]:
    """Make a pipe; nothing is left of it at the end."""
    reading, writing = (io.FileIO(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
    pipe = Pipe(LogWriter(writing.fileno(), lambda: WALL, most), reading, writing)
    with reading, writing:
        try:
            yield pipe
        finally:
            reading.close()  # a thread that waits for room fails now
            pipe.lines.close(30.0)


def test_nobody_waits_for_a_reader_who_does_not_read() -> None:
    """What does not fit is dropped and counted; one line says so when reading goes on."""
    with piped(most=200_000) as pipe:
        for number in range(20_000):
            pipe.lines.put(b'{"number":%d}\n' % number)
        read = pipe.read()
    numbers = [line["number"] for line in read if "number" in line]
    assert numbers == sorted(set(numbers))
    (dropped,) = [line for line in read if "dropped_lines" in line]
    assert len(numbers) + dropped["dropped_lines"] == 20_000
    assert dropped["dropped_lines"] > 0
    assert dropped["level"] == "warning"


def test_closing_does_not_wait_for_a_reader_who_does_not_read() -> None:
    """Its time is bounded; what is left is lost with the process."""
    with piped() as pipe:
        pipe.lines.put(b"x" * 500_000 + b"\n")
        pipe.lines.close(0.05)
        assert pipe.lines._thread.is_alive()


def test_closing_writes_what_is_left() -> None:
    """Also what is said about lines that were dropped."""
    with piped(most=10) as pipe:
        pipe.lines.put(b"{}\n" * 3)
        pipe.lines.put(b'{"a":"longer than fits"}\n')
        read = pipe.read()
    assert read[:3] == [{}] * 3
    assert read[3]["dropped_lines"] == 1


def test_a_reader_who_left_and_a_stream_that_is_closed_harm_nobody() -> None:
    """Lines go nowhere."""
    with piped() as pipe:
        pipe.reading.close()
        pipe.lines.put(b"{}\n")
    lines = LogWriter(None, lambda: WALL)
    lines.put(b"{}\n")
    lines.close()
    assert not lines._thread.is_alive()


def test_a_stream_that_does_not_block_loses_nothing() -> None:
    """Anyone who shares it may have made it so."""
    with piped() as pipe:
        os.set_blocking(pipe.writing.fileno(), False)
        for number in range(10_000):
            pipe.lines.put(b'{"number":%d}\n' % number)
        read = pipe.read()
    assert [line["number"] for line in read] == list(range(10_000))


def test_no_write_is_larger_than_pipes_keep_together() -> None:
    """Unless a line is; nothing is lost between two."""
    data = b"".join(b"x" * (size % 997) + b"\n" for size in range(2000)) + b"y" * 9000 + b"\n" + b"z\n" * 5000 + b"end"
    cut = list(pieces(data))
    assert b"".join(cut) == data
    assert [len(piece) for piece in cut if len(piece) > ATOMIC] == [9001]
    assert all(piece.endswith(b"\n") for piece in cut[:-1])


@pytest.mark.parametrize("text", ["\x00" * 9000, "\u2028" * 9000, "\udcff" * 9000, "x" * 100_000, "é\n" * 5000])
def test_every_line_is_short_and_whole(text: str) -> None:
    """Whatever it says: a traceback keeps its end, a message its beginning."""
    line = line_of("error", "a", f"begin {text}", traceback=f"{text} end", request_id="req-1")
    assert (len(line) <= ATOMIC, line.count(b"\n")) == (True, 1)
    reported = json.loads(line)
    assert reported["message"].startswith("begin ")
    assert reported["traceback"].endswith(" end")
    assert reported["request_id"] == "req-1"


class Gathered:
    """Stands in for standard error."""

    def __init__(self) -> None:
        self.text = b""

    def put(self, lines: bytes) -> None:
        self.text += lines

    def close(self) -> None:
        pass

    def reported(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> Gathered:
    made = Gathered()
    monkeypatch.setattr(module, "standard_error", lambda wall_time: made)
    return made


def test_whatever_is_written_is_a_json_line(gathered: Gathered) -> None:
    """Log records, warnings, prints, tracebacks, bytes, and pieces of a line."""
    before = (sys.stdout, sys.stderr, list(logging.getLogger().handlers))
    with json_log(), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("aiohttp.server").error("one\ntwo %s", 1, extra={"request_id": "req-1"})
        warnings.warn("three", stacklevel=1)
        print("four\n\nfive")
        print("six", end="", file=sys.stderr)
        print(" seven", file=sys.stderr)
        sys.stderr.buffer.write("acht \u00e4\n".encode())
        try:
            raise ValueError("nine")
        except ValueError:
            traceback.print_exc()
        sys.stdout.write("ten")
        sys.stdout.flush()
    reported = gathered.reported()
    assert all({"time", "level", "logger", "message"} <= set(line) for line in reported)
    assert (reported[0]["level"], reported[0]["logger"], reported[0]["request_id"]) == (
        "error",
        "aiohttp.server",
        "req-1",
    )
    assert reported[0]["message"] == "one\ntwo 1"
    assert (reported[1]["logger"], "UserWarning: three" in reported[1]["message"]) == ("py.warnings", True)
    assert [line["message"] for line in reported[2:6]] == ["four", "five", "six seven", "acht \u00e4"]
    assert reported[6]["message"].startswith("Traceback")
    assert [reported[-2]["message"], reported[-1]["message"]] == ["ValueError: nine", "ten"]
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


def test_a_traceback_comes_with_debug_and_without_its_message(gathered: Gathered) -> None:
    """What an exception says may be a prompt."""
    root = logging.getLogger()
    before = root.level
    try:
        for level in (logging.WARNING, logging.DEBUG):
            root.setLevel(level)
            with json_log():
                try:
                    raise ValueError("a secret")
                except ValueError:
                    logging.getLogger("localagent.x").critical("It failed.", exc_info=True)
    finally:
        root.setLevel(before)
    plain, debug = [line for line in gathered.reported() if line["message"] == "It failed."]
    assert "traceback" not in plain
    assert debug["traceback"].startswith("Traceback (most recent call last):")
    assert debug["traceback"].endswith("ValueError")
    assert "a secret" not in debug["traceback"].replace('ValueError("a secret")', "")


def test_a_printed_line_without_end_is_bounded() -> None:
    """A progress bar must not gather for ever."""
    made = Gathered()
    stream = JsonStream(made, "stdout", 1)  # type: ignore[arg-type]
    for _ in range(100):
        stream.write("x" * 1000)
    assert len(stream._begun) <= ATOMIC
    assert len(made.reported()) >= 20
    assert stream.fileno() == 1
