"""A plugin has one name, everywhere, and the core knows none of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROLES = (
    "provider", "connect", "request", "tokenize", "cache", "catalog", "select", "limit", "rate", "failure", "metrics",
    "cost", "resources", "gateway", "bench",
)  # fmt: skip


def project(plugin: Path) -> dict[str, Any]:
    facts: dict[str, Any] = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    return facts


def points_of(plugin: Path) -> dict[str, str]:
    """Return the plugins that a folder brings; the command line, the test kit and the recommended set bring none."""
    points: dict[str, str] = project(plugin).get("entry-points", {}).get("localagent", {})
    return points


def has_code(plugin: Path) -> bool:
    """Say whether a folder holds code; the recommended set is a list of dependencies."""
    return plugin.name != "standard"


def package_of(plugin: Path) -> str:
    return f"localagent_{plugin.name.replace('-', '_')}"


def test_folder_and_distribution_agree(plugins: list[Path]) -> None:
    """plugins/cache-memory is the distribution localagent-cache-memory."""
    assert {plugin.name: project(plugin)["name"] for plugin in plugins} == {
        plugin.name: f"localagent-{plugin.name}" for plugin in plugins
    }


def test_folder_and_import_package_agree(plugins: list[Path]) -> None:
    """plugins/cache-memory holds the one import package localagent_cache_memory."""
    with_code = [plugin for plugin in plugins if has_code(plugin)]
    held = {plugin.name: sorted(path.parent.name for path in plugin.glob("src/*/__init__.py")) for plugin in with_code}

    assert held == {plugin.name: [package_of(plugin)] for plugin in with_code}


def test_folder_and_entry_point_agree(plugins: list[Path]) -> None:
    """plugins/cache-memory brings the entry point cache-memory; a folder named after a shared client brings several."""
    for plugin in plugins:
        points = points_of(plugin)
        assert not points or plugin.name in points or all(point.endswith(f"-{plugin.name}") for point in points), (
            plugin.name
        )
        assert all(target.partition(":")[0].split(".")[0] == package_of(plugin) for target in points.values())


def test_an_entry_point_begins_with_its_role(plugins: list[Path]) -> None:
    """The role says the stage, so that a listing of plugins reads like the pipeline."""
    points = [point for plugin in plugins for point in points_of(plugin)]

    assert [point for point in points if point.partition("-")[0] not in ROLES] == []


def test_the_workspace_names_every_plugin(plugins: list[Path], workspace: dict[str, Any]) -> None:
    """The root pyproject.toml has each plugin as dependency, as source of the workspace, and for the import linter."""
    expected = {f"localagent-{plugin.name}" for plugin in plugins} | {"localagent-core"}
    required = {re.split(r"[^\w-]", requirement)[0] for requirement in workspace["project"]["dependencies"]}

    assert {name for name in required if name.startswith("localagent-")} == expected
    assert set(workspace["tool"]["uv"]["sources"]) == expected
    assert set(workspace["tool"]["importlinter"]["root_packages"]) == {
        "localagent", *(package_of(plugin) for plugin in plugins if has_code(plugin))
    }  # fmt: skip


def test_every_package_is_typed(plugins: list[Path], core_source: Path) -> None:
    """The core and every plugin ship py.typed."""
    packages = [core_source, *(plugin / "src" / package_of(plugin) for plugin in plugins if has_code(plugin))]

    assert [package.name for package in packages if not (package / "py.typed").exists()] == []


# What a plugin's name says about a technique, of the schema that all share, or in plain English, is not its alone.
COMMON_WORDS = {
    "summary",
    "openai",
    "sqlite",
    "memory",
    "pool",
    "fast",
    "savings",
    "busy",
    "least",
    "retry",
    "gateway",
    "catalog",
}


def test_the_core_names_no_plugin(plugins: list[Path], core_source: Path) -> None:
    """No plugin's name stands in the core's source: what the core knows of plugins are hooks.

    Neither do the products that plugins are named after. Names are whole words: a hook may speak of catalogues.
    """
    steps = [plugin for plugin in plugins if points_of(plugin)]
    names = {name for plugin in steps for name in (plugin.name, package_of(plugin))}
    names |= {word for plugin in steps for word in plugin.name.split("-")} - {*ROLES} - COMMON_WORDS
    words = re.compile(rf"(?i)\b(?:{'|'.join(sorted(map(re.escape, names)))})\b")
    files = [path for path in core_source.rglob("*.py") if words.search(path.read_text())]

    assert {"ollama", "llamacpp", "valkey"} <= names
    assert [path.relative_to(core_source).as_posix() for path in files] == []
