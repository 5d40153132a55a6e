"""The noxfile reads like a menu."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import pytest
from nox import registry

SESSIONS = {
    "acceptance", "alone", "bench", "combos", "core", "docs", "examples", "fresh", "full", "lint", "minimums", "pairs",
    "pins", "repository", "system", "templates", "types",
}  # fmt: skip


@pytest.fixture(scope="module")
def menu(root: Path) -> dict[str, Any]:
    """The sessions of the noxfile, by name."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("PYENV_VERSION", "UV_PYTHON_DOWNLOADS"):  # the noxfile sets them; this puts them back
            environment.setenv(name, os.environ.get(name, ""))
        runpy.run_path(str(root / "noxfile.py"))
    return dict(registry.get())


def test_every_session_says_what_it_does(menu: dict[str, Any]) -> None:
    """Each session has a docstring of one sentence or two, which `nox -l` prints."""
    assert [name for name, session in menu.items() if not session.__doc__] == []


def test_the_menu_is_complete(menu: dict[str, Any]) -> None:
    """The sessions that the design names are there, and no other."""
    assert set(menu) == SESSIONS


def test_only_slow_and_writing_sessions_are_off_by_default(menu: dict[str, Any]) -> None:
    """`nox` without arguments runs everything else."""
    assert {name for name, session in menu.items() if not session.default} == {"bench", "full", "pins"}


def test_what_the_system_lacks_is_named(menu: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is looked for in the folders of root as well; without apt-get nothing is installed."""
    noxfile = menu["system"].func.__globals__
    assert noxfile["missing_programs"](["sh", "no-such-program"]) == ["no-such-program"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert noxfile["privileged_apt"]() is None


def test_the_slowest_sessions_are_shown(menu: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Slowest first, with the sum of all; nothing after a single session."""
    noxfile = menu["system"].func.__globals__
    took, show = noxfile["TOOK"], noxfile["show_slowest"]
    took.update({"lint": 2.0})
    show()
    assert capsys.readouterr().out == ""
    took.update({"core-3.11": 30.0})
    show()
    took.clear()
    shown = ["The slowest of 2 sessions, 32 s in all:", "   30.0 s  core-3.11", "    2.0 s  lint"]
    assert capsys.readouterr().out.splitlines() == shown
