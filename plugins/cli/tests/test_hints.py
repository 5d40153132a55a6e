"""Hints of the command line: only distributions of this repository are named, and a typo gets the nearest name."""

from __future__ import annotations

import re

import pytest

from localagent.plugin_api import install, installing, known_plugins, upgrade
from localagent.plugin_api.installing import is_known
from localagent_cli import hints
from localagent_cli.hints import install_one_of, missing_command, uninstall

TYPOS = ["serve", "seve", "serv", "localagent-serve", "Serve", "x", "", "-", "requests", "savigns", "quantum"]


@pytest.fixture(autouse=True, params=[False, True], ids=["installed", "checkout"])
def checkout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the core runs from a checkout."""
    inside: bool = request.param
    for module in (installing, hints):
        monkeypatch.setattr(module, "is_checkout", lambda: inside)
    return inside


@pytest.mark.parametrize("typo", TYPOS)
def test_no_hint_names_a_distribution_that_is_not_ours(typo: str) -> None:
    """Whatever was typed as a command."""
    texts = [missing_command(typo, ["ask"], ["gateway"]), missing_command(typo, [], [])]
    named = [word for text in texts for word in re.findall(r"pip install (?:--upgrade )?(\S+)", text)]
    assert [name for name in named if not is_known(name)] == []


def test_a_command_that_a_plugin_brings_names_its_distribution() -> None:
    """How to install it; how to upgrade an installation that lacks it."""
    assert missing_command("serve", ["ask"], []) == f"It is part of localagent-gateway. {install('localagent-gateway')}"
    lacking = missing_command("serve", ["ask"], ["gateway"])
    assert (
        lacking
        == f"It is part of localagent-gateway, but the installed version lacks it. {upgrade('localagent-gateway')}"
    )


@pytest.mark.parametrize(
    ("typo", "said"), [("srve", "Did you mean serve?"), ("aks", "Did you mean ask?"), ("quantum", "")]
)
def test_a_mistyped_command_gets_the_nearest(typo: str, said: str) -> None:
    """Of those that are there, and of those that a plugin of this repository would bring."""
    assert missing_command(typo, ["ask"], []) == said


def test_hints_fit_the_place(checkout: bool) -> None:
    """pip where the core was installed; what the checkout needs where it runs from one."""
    ours = [known_plugins()["provider-openai"], known_plugins()["provider-ollama"]]
    if checkout:
        assert uninstall("stranger") == "Run: uv pip uninstall stranger"
        assert install_one_of(ours) == "Run: uv sync"
        return
    assert uninstall("stranger") == "Run: pip uninstall stranger"
    assert install_one_of(ours) == "Run: pip install localagent-provider-openai (or localagent-provider-ollama)"
