"""A command's help, read from its source: it is the help that click shows once the command is imported."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path
from zipfile import ZipFile

import click
import pytest

from localagent_cli.unimported import read_command

LIMIT = 200
READABLE = {
    "docstring": """
        @click.command()
        @click.option("--name", help="A name.")
        def it(name):
            '''Grow a tree: slowly,
            over years. Then cut it.

            More.'''
    """,
    "bare": """
        @click.command
        def it():
            "Grow a tree"
    """,
    "help": """
        @click.option("--first", help="First.")
        @click.command("it", help="Grow a tree; " "or two. Or three.")
        @click.option("--name", help="A name.")
        def it(name, first):
            "Not this."
    """,
    "short help": """
        @click.command(short_help="Grow it.", help="Grow a tree.")
        def it(): ...
    """,
    "ours": """
        from localagent_cli import command

        @command("it", help="Grow a tree.")
        def it(line): ...
    """,
    "group": """
        @click.group("it", help="Grow trees.")
        def it(): ...
    """,
    "below a group": """
        @click.group()
        def trees(): ...

        @trees.command(help="Grow a tree.")
        def it(): ...
    """,
    "assigned": """
        it = click.Command("it", help="Grow a tree.")
    """,
    "decorated later": """
        def grow(): ...

        it: click.Command = click.command("it", help="Grow a tree.")(grow)
    """,
    "the last one": """
        it = click.Command("it", help="Not this.")
        it = click.Command("it", help="Grow a tree.")
    """,
    "hidden": """
        @click.command(hidden=True, help="Grow a tree.")
        def it(): ...
    """,
    "deprecated": """
        @click.command(deprecated=True, help="Grow a tree.")
        def it(): ...
    """,
    "no rewrap": """
        @click.command(help="\\b\\nGrow a tree.\\n\\nMore.")
        def it(): ...
    """,
}
UNREADABLE = {
    "not there": "",
    "no decorator": "def it(): 'Grow a tree.'",
    "another decorator": "@click.option('--x', help='X.')\ndef it(x): 'Grow a tree.'",
    "a name": "TEXT = 'Grow a tree.'\n@click.command(help=TEXT)\ndef it(): ...",
    "an expression": "@click.command(help='Grow %s' % 'a tree')\ndef it(): ...",
    "a wrong type": "@click.command(help=b'Grow a tree.')\ndef it(): ...",
    "more": "MORE = {}\n@click.command(**MORE)\ndef it(): ...",
    "another name": "def other(): ...\nit = other",
    "a class": "class it: 'Grow a tree.'",
    "no Python": "def it(:",
    "a null byte": "\0",
    "deep": "it = " + "(" * 500,
}


@pytest.mark.parametrize("case", READABLE)
def test_the_line_is_what_click_shows(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the command is written, and nothing was imported for it."""
    name = f"readable_{case.replace(' ', '_')}"
    (tmp_path / f"{name}.py").write_text(f"import click\n{textwrap.dedent(READABLE[case])}")
    monkeypatch.syspath_prepend(tmp_path)
    read = read_command("it", f"{name}:it")
    assert name not in sys.modules
    real = importlib.import_module(name).it
    monkeypatch.delitem(sys.modules, name)
    assert isinstance(real, click.Command)
    assert read is not None
    assert "Grow " in real.get_short_help_str(LIMIT)
    assert (read.get_short_help_str(LIMIT), read.hidden) == (real.get_short_help_str(LIMIT), real.hidden)


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_none(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an error."""
    name = f"unreadable_{case.replace(' ', '_')}"
    (tmp_path / f"{name}.py").write_text(UNREADABLE[case])
    monkeypatch.syspath_prepend(tmp_path)
    assert read_command("it", f"{name}:it") is None


@pytest.mark.parametrize(
    "place", ["", ":", "nothing:it", "json.nothing.deep:it", "_thread:it", "os", "a..b:it", ".:it", "json:tool.it"]
)
def test_a_module_that_is_not_there_or_has_no_source(place: str) -> None:
    """Entry points can hold anything."""
    assert read_command("it", place) is None


def test_a_module_in_packages_imports_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose ``__init__`` may be heavy, or missing on the outermost level."""
    for outer in ("outer_package", "outer_namespace"):
        inner = tmp_path / outer / "inner"
        inner.mkdir(parents=True)
        (inner / "__init__.py").write_text("1 / 0")
        (inner / "deep.py").write_text("@command(help='Grow a tree.')\ndef it(): ...")
    (tmp_path / "outer_package/__init__.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for outer in ("outer_package", "outer_namespace"):
        read = read_command("it", f"{outer}.inner.deep:it [extra]")
        assert read is not None
        assert read.get_short_help_str() == "Grow a tree."
        assert [module for module in sys.modules if module.startswith(outer)] == []


def test_a_module_in_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's loader gives the source, wherever it is."""
    with ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr("in_a_zip/__init__.py", "")
        file.writestr("in_a_zip/deep.py", "@command(help='Grow a tree.')\ndef it(): ...")
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    read = read_command("it", "in_a_zip.deep:it")
    assert read is not None
    assert read.get_short_help_str() == "Grow a tree."
