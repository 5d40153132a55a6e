"""Docstrings in Google's style, as Markdown."""

from __future__ import annotations

import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Since")
HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):[ ]*(.*)$")
ENTRY = re.compile(r"^(\*{0,2}[\w.]+(?: \([^)]*\))?): (.*)$")


def markdown(documented: object) -> str:
    """Return an object's docstring as Markdown; empty when it has none."""
    return as_markdown(inspect.getdoc(documented) or "")


def as_markdown(docstring: str) -> str:
    """Return a docstring as Markdown: names as code, lists of arguments as lists, examples as code blocks."""
    blocks, lines = [], docstring.splitlines()
    text: list[str] = []
    while lines:
        line = lines.pop(0)
        found = HEADING.match(line)
        if found is None:
            text.append(line)
            continue
        blocks += [_prose(text), _section(found[1], found[2], list(_indented(lines)))]
        text = []
    blocks.append(_prose(text))
    return "\n\n".join(block for block in blocks if block)


def _indented(lines: list[str]) -> Iterator[str]:
    """Take the lines of a section: those that are indented or blank, and yield them without their indent."""
    while lines and (not lines[0].strip() or lines[0].startswith(" ")):
        yield lines.pop(0).removeprefix("    ")


def _section(name: str, rest: str, lines: list[str]) -> str:
    if name.startswith("Example"):
        code = textwrap.dedent("\n".join(lines).strip("\n").removeprefix("::").strip("\n"))
        whole = code.startswith(("import ", "from "))  # a whole program is run as a test, a part of one is not
        return f"**Example**\n\n```{'python' if whole else 'py'}\n{code}\n```"
    if name == "Since" or (rest and not lines):
        return f"**{name}:** {_inline(rest.removesuffix('.'))}"
    return f"**{name}**\n\n" + "\n".join(_entries(lines) or [_inline(" ".join(map(str.strip, lines)))])


def _entries(lines: Iterable[str]) -> list[str]:
    """Return ``name: text`` entries, whose text may go on in indented lines, as a list."""
    entries: list[str] = []
    for line in lines:
        found = ENTRY.match(line)
        if found is not None:
            entries.append(f"- `{found[1]}`: {found[2]}")
        elif entries and line.strip():
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            return []
    return [_inline(entry) for entry in entries]


def _prose(lines: list[str]) -> str:
    """Return paragraphs; indented blocks become code, in Python after a line that ends with ``::``.

    It is marked ``py``: only ``python`` blocks are run, and these may be parts of a program.
    """
    made: list[str] = []
    for indented, block in itertools.groupby(_blocks(lines), key=lambda block: block.startswith(" ")):
        text = "\n\n".join(block)
        if indented:
            language = "py" if made and made[-1].endswith(":") and "├" not in text else "text"
            made[-1:] = [made[-1]] if made and made[-1] != ":" else []
            made.append(f"```{language}\n{textwrap.dedent(text).replace('``', '')}\n```")
        elif "├" in text:
            made.append(f"```text\n{text.replace('``', '')}\n```")
        else:
            made.append(_inline(re.sub("::$", ":", text)))
    return "\n\n".join(made)


def _blocks(lines: list[str]) -> list[str]:
    """Return the blocks between blank lines."""
    return [block.strip("\n") for block in re.split(r"\n[ ]*\n", "\n".join(lines)) if block.strip()]


def _inline(text: str) -> str:
    """Return text with the code marks of Markdown, and without what Markdown would take for a tag."""
    text = re.sub(r"``(.+?)``", lambda found: f"`{found[1]}`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else part.replace("<", "&lt;").replace("*args", r"\*args") for part in parts
    )


def attributes(docstring: str) -> dict[str, str]:
    """Return what the section ``Attributes`` of a docstring says about each name, as Markdown."""
    lines = docstring.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("Attributes:")), len(lines))
    rest = lines[start + 1 :]
    found = [re.match(r"- `(.+?)`: (.*)$", entry) for entry in _entries(list(_indented(rest)))]
    return {one[1]: one[2] for one in found if one is not None}
