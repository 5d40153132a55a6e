"""One term per concept, and plain English: retired names and phrases do not come back.

The names are those that section "Vocabulary" of the design retires; each has its successor. The phrases are archaic or
translated word for word from another language. The change notes and this module may quote them.
"""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RETIRED_NAMES = {
    "mend": "hint",
    "wall": "wall_time",
    "Clocks": "Timeouts",
    "clocks": "timeouts",
    "ttft": "first_token",
    "Watch": "PhaseTimer",
    "caps": "size_limits",
    "Caps": "SizeLimits",
    "claim": "classify_cancellation",
    "STRAY": "FOREIGN_CANCELLATION",
    "blame": "wrap_error",
    "overdue": "timeout_error",
    "Parts": "BodyStream",
    "told": "reported",
    "Source": "ConfiguredProvider",
    "Trouble": "PluginFailure",
    "Troubles": "PluginFailures",
    "Condition": "ProcessStatus",
    "Which": "EntryFilter",
    "KeptAnswer": "EntryInfo",
    "CacheFigures": "CacheStats",
    "FrontRequest": "HttpRequest",
    "FrontAnswer": "HttpResponse",
    "FrontStream": "HttpStream",
    "moves": "survives_reload",
    "moving": "survives_reload",
    "folding": "merging",
    "inflating": "decompression",
    "Patience": "SlowDiskGuard",
    "Sending": "RequestOptions",
    "Wish": "OutputOptions",
}
"""Identifiers by the name that took their place. ``part()`` and ``begun()`` are looked for as calls and definitions."""

RETIRED_CALLS = {"part": "read_chunk", "begun": "start_eagerly"}

RETIRED_SETTINGS = re.compile(r"\[limits\]|\[providers\.\w+\.clocks\]|\bttft\b")

RETIRED_PHRASES = re.compile(
    r"\b(?:[Ww]hoever|[Ww]homever|[Aa]new|[Ss]o that nobody|[Ww]hat is left out|[Bb]ut for(?= (?:the|a|an|one|what)\b)"
    r"|[Aa]ll the same|(?<![Tt]here )(?:is|are|was|were) none\b(?! of)|(?:is|are|was|were|be|been) told(?! to\b)"
    r"|[Nn]othing of|[Ff]or want of|says? of|said of|comes? about|came about|[Hh]ence|[Tt]hereby|[Ww]herein|[Ww]hereby"
    r"|[Mm]end(?:s|ed|ing)?|(?<![Tt]here )(?:is|are) no (?:JSON|text|list|object|number|string|name|file|folder|answer"
    r"|request|event|table|path|key|header|stream|model|chat|message|error|whole|matter))\b"
)
TEXTS = {".py", ".md", ".jinja", ".toml", ".yml"}
MAY_QUOTE = {Path(__file__).name, "test_samples.py", "CHANGELOG.md", "before.txt", "moves.txt"}


def names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each retired identifier of Python source, in code and not in text."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, behind in itertools.pairwise(tokens):
        if token.type != tokenize.NAME:
            continue
        if token.string in RETIRED_NAMES or (token.string in RETIRED_CALLS and behind.string == "("):
            yield token.start[0], token.string


def phrases(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each retired phrase, and of each retired setting."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern in (RETIRED_PHRASES, RETIRED_SETTINGS):
            for found in pattern.finditer(line):
                yield number, found[0]


def texts(paths: list[Path]) -> list[Path]:
    """Return the files that are read by people."""
    left_out = (ROOT / "changes", ROOT / "docs/_build")
    return [
        path
        for path in paths
        if path.suffix in TEXTS and path.name not in MAY_QUOTE and not {*left_out} & {*path.parents}
    ]


def where(path: Path, found: Iterator[tuple[int, str]]) -> list[str]:
    """Return findings as ``file:line: words``."""
    return [f"{path.relative_to(ROOT)}:{line}: {words}" for line, words in found]


def test_no_retired_name_is_used(tracked: list[Path]) -> None:
    """Neither in the code nor in its tests."""
    python = [path for path in tracked if path.suffix == ".py" and path.name not in MAY_QUOTE]
    assert [found for path in python for found in where(path, names(path.read_text()))] == []


def test_no_retired_phrase_is_used(tracked: list[Path]) -> None:
    """In no text: documents, docstrings, comments, errors."""
    assert [found for path in texts(tracked) for found in where(path, phrases(path.read_text()))] == []


@pytest.mark.parametrize("name", sorted({*RETIRED_NAMES} - {"moving"}))
def test_every_retired_name_is_found(name: str) -> None:
    """As a variable, an attribute, an argument and a class; not inside another name, and not in a text."""
    source = (
        f"{name} = 1\nobject.{name}\nf({name}=1)\n\n\nclass {name}:\n    pass\n\n\nmy_{name}s = '{name}'  # {name}\n"
    )
    assert list(names(source)) == [(1, name), (2, name), (3, name), (6, name)]


@pytest.mark.parametrize("name", RETIRED_CALLS)
def test_a_retired_function_is_found_where_it_is_called_and_defined(name: str) -> None:
    """A variable may have the name."""
    assert list(names(f"def {name}():\n    pass\n\n\nx.{name}()\n{name} = 1\n")) == [(1, name), (5, name)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Whoever asks begins anew.", ["Whoever", "anew"]),
        ("An answer that is none is told so that nobody waits.", ["is none", "is told", "so that nobody"]),
        ("The field is no list, and what is left out counts.", ["is no list", "what is left out"]),
        ("What mends it is all the same.", ["mends", "all the same"]),
        ("Write [limits] or [providers.x.clocks], with ttft.", ["[limits]", "[providers.x.clocks]", "ttft"]),
        ("There is none, there are no files, None is None, and a pattern is a pattern.", []),
    ],
)
def test_a_retired_phrase_is_found(text: str, found: list[str]) -> None:
    """At the beginning of a sentence as well; words that only look like one are left alone."""
    assert [words for _, words in phrases(text)] == found
