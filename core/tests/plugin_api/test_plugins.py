"""Plugins are found as metadata, chosen by name, imported only then, and reported on when they are not there."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from localagent.errors import PluginError
from localagent.pipeline import Pipeline
from localagent.plugin_api import as_loaded, find_plugins, missing_plugin
from localagent.plugin_api import discovery as plugins
from localagent.plugin_api import install as how_to_install
from localagent.plugin_api.discovery import load_plugins
from localagent.plugin_api.plugin import Plugin

Install = Callable[..., None]

FORMS = {
    "factory": """
from localagent import Plugin

class Tiny(Plugin):
    default = False

def TinyPlugin(settings) -> Tiny:
    return Tiny(settings)
""",
    "object": """
from localagent import Plugin

class Tiny(Plugin):
    default = False

TinyPlugin = Tiny()
""",
}

GOOD = """
from localagent import Plugin, hookimpl

class TinyPlugin(Plugin):
    @hookimpl
    async def pre_request(self, call, request):
        return None
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs tiny distributions, with real metadata, into a folder on ``sys.path``; nothing else is seen."""
    from importlib_metadata import distributions

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("importlib_metadata.distributions", lambda: list(distributions(path=[str(tmp_path)])))
    find_plugins.cache_clear()
    modules = set(sys.modules)

    def tiny(distribution: str, source: str = GOOD, *, name: str = "", version: str = "1.2") -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(dedent(source))
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        entry = name or distribution.removeprefix("localagent-")
        (info / "entry_points.txt").write_text(f"[localagent]\n{entry} = {module}:TinyPlugin\n")
        importlib.invalidate_caches()
        find_plugins.cache_clear()

    yield tiny
    for module in set(sys.modules) - modules:
        del sys.modules[module]
    find_plugins.cache_clear()


def test_finding_imports_nothing(install: Install) -> None:
    """What is installed is read from metadata; a plugin whose import would fail is found anyway."""
    install("localagent-cache-tiny", "raise RuntimeError('imported')")
    (found,) = find_plugins().values()
    assert (found.name, found.distribution, found.version) == ("cache-tiny", "localagent-cache-tiny", "1.2")
    assert "localagent_cache_tiny" not in sys.modules


def test_metadata_is_read_once(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is kept for the life of the process."""
    install("localagent-cache-tiny")
    first = find_plugins()
    monkeypatch.setattr("importlib_metadata.distributions", lambda: pytest.fail("asked again"))
    assert find_plugins() is first


def test_all_installed_plugins_are_active_without_a_choice(install: Install) -> None:
    """In the order of their names, each with a report."""
    install("localagent-rate-tiny")
    install("localagent-cache-tiny")
    loaded, reports = load_plugins(None)
    assert [item.name for item in loaded] == ["cache-tiny", "rate-tiny"]
    assert [(report.name, report.state, report.why, report.version) for report in reports] == [
        ("cache-tiny", "active", "installed", "1.2"),
        ("rate-tiny", "active", "installed", "1.2"),
    ]


def test_only_chosen_plugins_are_imported(install: Install) -> None:
    """The others are idle, and their code does not run."""
    install("localagent-rate-tiny", "raise RuntimeError('imported')")
    install("localagent-cache-tiny")
    loaded, reports = load_plugins(["cache-tiny", "cache-tiny"])
    assert [item.name for item in loaded] == ["cache-tiny"]
    assert {report.name: (report.state, report.why) for report in reports} == {
        "cache-tiny": ("active", "named in the settings"),
        "rate-tiny": ("idle", "not among the plugins that the settings name"),
    }


def test_a_plugin_may_be_off_by_default(install: Install) -> None:
    """It is active only when it is named."""
    install("localagent-guard-tiny", GOOD + "    default = False\n")
    assert [report.state for report in load_plugins(None)[1]] == ["idle"]
    assert [item.name for item in load_plugins(["guard-tiny"])[0]] == ["guard-tiny"]


@pytest.mark.parametrize("source", FORMS.values(), ids=FORMS)
def test_an_entry_point_may_name_a_factory_or_an_object(install: Install, source: str) -> None:
    """What a class says about itself is read from the class of what it gives; the entry point names the plugin."""
    install("localagent-guard-tiny", source)
    assert [report.state for report in load_plugins(None)[1]] == ["idle"]
    loaded, _ = load_plugins(["guard-tiny"])
    plugin = Pipeline(loaded).plugins["guard-tiny"]
    assert (type(plugin).__name__, plugin.name) == ("Tiny", "guard-tiny")


BROKEN = {
    "raises": ("1 / 0", "ZeroDivisionError: division by zero"),
    "lacks a module": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "has no such name": ("x = 1", "has no attribute 'TinyPlugin'"),
    "syntax": ("def broken(:", "SyntaxError"),
    "no subclass": ("class TinyPlugin: pass", "not a subclass of localagent.Plugin"),
    "no class": ("TinyPlugin = 3", "is an object of the type int; expected a subclass of localagent.Plugin"),
    "a module": ("import json as TinyPlugin", "is the module json; expected a subclass"),
    "a function that says nothing": ("def TinyPlugin(settings): ...", "write: def make(settings: MySettings) -> "),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_that_was_named_is_an_error(install: Install, source: str, reason: str) -> None:
    """The message names plugin, distribution, version, what happened, and what to do."""
    install("localagent-cache-tiny", source)
    with pytest.raises(PluginError) as caught:
        load_plugins(["cache-tiny"])
    assert "cache-tiny (distribution localagent-cache-tiny 1.2)" in caught.value.message
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_broken_plugin_that_nobody_named_is_reported(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """It does not keep the others from working; it is logged, and reported with the hint."""
    install("localagent-cache-tiny", "1 / 0")
    install("localagent-rate-tiny")
    with caplog.at_level(logging.WARNING):
        loaded, reports = load_plugins(None)
    assert [item.name for item in loaded] == ["rate-tiny"]
    (failed,) = [report for report in reports if report.state == "failed"]
    assert (failed.name, failed.distribution) == ("cache-tiny", "localagent-cache-tiny")
    assert failed.hint.startswith("Upgrade localagent-cache-tiny from where it was installed")
    assert "cache-tiny (distribution localagent-cache-tiny 1.2)" in caplog.text


def test_a_plugins_own_error_keeps_its_mend(install: Install) -> None:
    """A plugin that knows what it lacks says so."""
    source = (
        "from localagent.errors import PluginError\nraise PluginError('No driver.', hint='Run: pip install driver')"
    )
    install("localagent-cache-tiny", source)
    with pytest.raises(PluginError, match="No driver") as caught:
        load_plugins(["cache-tiny"])
    assert caught.value.hint == "Run: pip install driver"


def test_a_missing_plugin_is_named_with_the_nearest_name(install: Install) -> None:
    """A slip of the pen is corrected."""
    install("localagent-cache-memory")
    with pytest.raises(PluginError) as caught:
        load_plugins(["cache-memroy"])
    assert str(caught.value) == "There is no plugin named cache-memroy. Did you mean cache-memory?"


def test_a_missing_plugin_is_named_with_the_command_that_installs_it() -> None:
    """Where it is one of this repository; its distribution may have another name."""
    error = missing_plugin("cache-valkey", ["cache-memory"])
    assert str(error) == f"There is no plugin named cache-valkey. {how_to_install('localagent-valkey')}"


def test_another_plugin_of_the_same_role_is_not_near() -> None:
    """Anyone who wants Gemini did not mean OpenAI."""
    error = missing_plugin("provider-gemini", ["provider-openai", "provider-ollama"])
    assert error.hint == "See: localagent plugins"


def test_two_distributions_with_one_name_are_an_error(install: Install) -> None:
    """Both are named, and the command that removes one."""
    install("localagent-cache-tiny", name="cache-tiny")
    install("other-cache", name="cache-tiny")
    with pytest.raises(PluginError) as caught:
        find_plugins()
    message = str(caught.value)
    assert "localagent-cache-tiny" in message
    assert "other-cache" in message
    assert "cache-tiny:" in message
    assert "pip uninstall" in message


def test_classes_that_a_program_passes_are_named_by_themselves() -> None:
    """No metadata is needed for a plugin that is an object."""

    class Mine(Plugin):
        name = "rate-mine"

    (loaded,) = as_loaded([Mine])
    assert (loaded.name, loaded.kind, loaded.report.why) == ("rate-mine", Mine, "passed by the program")


def test_the_group_is_the_projects_name() -> None:
    """Plugin authors write it into their ``pyproject.toml``."""
    assert plugins.GROUP == "localagent"
