"""House rules that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def test_every_module_says_what_it_is(sources: list[Path]) -> None:
    """Every module begins with a docstring."""
    assert [str(path) for path in sources if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_every_module_is_named_for_one_thing(sources: list[Path]) -> None:
    """No module or package is called utils, helpers, common or misc."""
    assert [str(path) for path in sources if EMPTY_NAMES & {path.stem.strip("_"), path.parent.name.strip("_")}] == []


def broad_handlers(source: str) -> list[int]:
    """Return the lines of handlers for everything that have no comment at them or just above or below."""
    lines = source.splitlines()
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    broad = [handler.lineno for handler in handlers if is_broad(handler)]
    return [line for line in broad if not any("#" in near for near in lines[line - 2 : line + 1])]


def is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in caught)


def test_a_broad_except_says_whose_code_may_raise(sources: list[Path]) -> None:
    """``except Exception`` has a comment."""
    assert [(str(path), line) for path in sources for line in broad_handlers(path.read_text())] == []


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        ("except Exception:", [3]),
        ("except (ValueError, Exception):", [3]),
        ("except:", [3]),
        ("except Exception:  # the plugin's own code", []),
        ("except ValueError:", []),
    ],
)
def test_a_broad_except_is_found(handler: str, found: list[int]) -> None:
    """The check above can fail."""
    assert broad_handlers(f"try:\n    run()\n{handler}\n    pass\n") == found


SHARED_THREADS = re.compile(r"\.to_thread\(|run_in_executor\(None|\.getaddrinfo\(")


def test_nothing_waits_for_the_threads_that_libraries_share(sources: list[Path]) -> None:
    """Work and names have threads of their own (``in_thread``, ``resolve_name``), so that none holds up the other."""
    found = [
        (str(path), line)
        for path in sources
        if "testing" not in path.parts
        for line in path.read_text().splitlines()
        if SHARED_THREADS.search(line)
    ]
    assert [line.strip() for _, line in found] == [
        "found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)"
    ]  # the gateway's own host, before it serves


def wall_clock_reads(source: str) -> list[int]:
    """Return the lines that read the wall clock without giving it the name ``wall_time``."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom | ast.Attribute)]
    reads = [node.lineno for node in nodes if reads_wall_clock(node)]
    lines = source.splitlines()
    return [line for line in reads if not re.search(r"\bwall_time\b", "".join(lines[max(0, line - 3) : line]))]


def reads_wall_clock(node: ast.ImportFrom | ast.Attribute) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" and bool({"time", "time_ns"} & {alias.name for alias in node.names})
    return ast.unparse(node) in {"time.time", "time.time_ns"}


def test_policies_do_not_read_the_wall_clock(sources: list[Path]) -> None:
    """Time is the core's clock; the wall clock is read in one place, by the name ``wall_time``."""
    assert [(str(path), line) for path in sources for line in wall_clock_reads(path.read_text())] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\nnow = time.time()\n", [2]),
        ("from time import time\n", [1]),
        ("import time\n\n\n\ndef wall_time() -> float:\n    return time.time()\n", []),
        ("import time\nnow = time.monotonic()\n", []),
    ],
)
def test_a_read_of_the_wall_clock_is_found(source: str, found: list[int]) -> None:
    """The check above can fail."""
    assert wall_clock_reads(source) == found
