"""The core's list of this repository's plugins is the folder of the plugins; the hints of all sources keep to it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from localagent.plugin_api import CORE, known_plugins
from localagent.plugin_api.installing import MODEL, is_known


def test_the_core_lists_every_plugin_with_its_distribution(plugins: list[Path]) -> None:
    """Name of the entry point and name of the distribution, no more and no fewer."""
    projects = [tomllib.loads((plugin / "pyproject.toml").read_text())["project"] for plugin in plugins]
    found = {
        point: project["name"]
        for project in projects
        for point in project.get("entry-points", {}).get("localagent", {})
    }
    assert {name: plugin.distribution for name, plugin in known_plugins().items()} == found


def test_the_core_lists_every_command_of_a_plugin(plugins: list[Path]) -> None:
    """So that one that is typed without its plugin names the plugin."""
    projects = [tomllib.loads((plugin / "pyproject.toml").read_text())["project"] for plugin in plugins]
    brought = {
        command: project["name"]
        for project in projects
        for command in project.get("entry-points", {}).get("localagent.commands", {})
    }
    assert {name: one.distribution for one in known_plugins().values() for name in one.commands} == brought
    assert {"serve", "savings"} <= set(brought)


def test_no_provider_depends_on_another(plugins: list[Path]) -> None:
    """An installed plugin is an active plugin, so installing one provider must not bring another."""
    needed: dict[str, list[str]] = {}
    for plugin in plugins:
        project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
        if plugin.name.startswith("provider-"):
            extras = project.get("optional-dependencies", {}).values()
            needed[plugin.name] = [*project.get("dependencies", []), *(one for extra in extras for one in extra)]
    assert {"provider-llamacpp", "provider-ollama", "provider-openai"} <= set(needed)
    assert {name: [one for one in found if "localagent-provider-" in one] for name, found in needed.items()} == {
        name: [] for name in needed
    }


def test_no_source_writes_an_install_command_of_its_own(sources: list[Path]) -> None:
    """``localagent.plugin_api.installing`` makes them all."""
    own = [path for path in sources if path.name != "installing.py" and "pip install" in path.read_text()]
    assert own == []


def test_the_model_and_the_core_are_known() -> None:
    """They are no plugins, and may be named."""
    assert is_known(CORE)
    assert is_known(MODEL)
