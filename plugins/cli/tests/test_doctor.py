"""``localagent doctor``: each finding with how to fix it, and an exit code that says whether something is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from localagent.plugin_api import find_plugins, install
from localagent_testing import FaultServer, ReadRequest, Send, Stall, answer

MODELS = {"data": [{"id": "m"}]}
FOUND = """
    from localagent import OpenAICompatible, Plugin, ProviderType, hookimpl
    from localagent.plugin_api.plugin import NoSettings

    def given(environment):
        return {"instances": [environment["FOUND_AT"]]} if "FOUND_AT" in environment else None

    class Found(Plugin):
        @hookimpl
        def provide(self):
            make = lambda setup: OpenAICompatible(setup, *setup.instances("http://w"))
            return [ProviderType("found", NoSettings, make, given)]
"""
GRUMBLES = """
    from localagent import Plugin, hookimpl

    class Grumbles(Plugin):
        @hookimpl
        def models_listed(self, instance, models):
            raise KeyError("grumble")
"""


async def findings(shell: Any, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of ``doctor``, and its findings by subject."""
    result = await shell.run("doctor", "--json", *arguments)
    assert result.err == ""
    return result.code, {finding["subject"]: finding for finding in json.loads(result.out)["findings"]}


async def test_all_is_well(shell: Any) -> None:
    """Python, the HTTP library with its fast parser, settings, plugins, providers, instances, the default model."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1")
        code, found = await findings(shell)
    assert code == 0
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert {"python", "aiohttp", "settings", "state folder", "plugins", "provider wire", "default model",
            f"instance wire@127.0.0.1:{server.port}"} <= set(found)  # fmt: skip
    assert found["settings"]["text"].endswith("localagent.toml")


async def test_it_is_readable(shell: Any) -> None:
    """One line per finding, which begins with the level; the line below says how to fix it."""
    shell.settings('use = ["provider-wire"]\n[plugins.cache-nowhere]\nttl = 1')
    result = await shell.run("doctor")
    lines = result.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("warn"))
    assert "[plugins.cache-nowhere]: It has no effect" in lines[at]
    assert lines[at + 1].strip() == "See: localagent plugins"


DIAGNOSED = """
    from localagent import Plugin
    from localagent.errors import StartError
    from localagent_cli.findings import Finding

    class Diagnosed(Plugin):
        def diagnose(self, settings):
            if settings.default_model == "fails":
                raise StartError("It could not look.", hint="Let it.")
            return [Finding("broken", "its files", "They are gone.", "Restore them.")]
"""


async def test_plugins_say_what_is_wrong_with_what_is_theirs(shell: Any) -> None:
    """And one that cannot look is named."""
    shell.plugin("cache-own", "Diagnosed", DIAGNOSED)
    code, found = await findings(shell)
    assert (code, found["its files"]["level"], found["its files"]["hint"]) == (1, "broken", "Restore them.")
    shell.settings('default_model = "fails"')
    code, found = await findings(shell)
    assert (code, found["plugin cache-own"]["text"]) == (1, "It could not look.")


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX's")
@pytest.mark.parametrize("above", [False, True])
async def test_a_state_folder_that_others_may_write_to_is_told(shell: Any, tmp_path: Path, above: bool) -> None:
    """Also one that others may put another in the place of."""
    folder = tmp_path / "above" / "state"
    folder.mkdir(parents=True, mode=0o700)
    (folder.parent if above else folder).chmod(0o777)
    shell.settings(f'state_folder = "{folder}"')
    _, found = await findings(shell)
    reported = found["state folder"]
    assert (reported["level"], reported["hint"]) == ("warn", f"Run: chmod go-w {folder.parent if above else folder}")


async def test_an_instance_that_cannot_be_reached_is_broken(shell: Any) -> None:
    """The reason is shown; the hint to run the doctor is not."""
    shell.use("http://127.0.0.1:9/v1")
    code, found = await findings(shell)
    instance = found["instance wire@127.0.0.1:9"]
    assert (code, instance["level"]) == (1, "broken")
    assert "doctor" not in instance["text"]


async def test_an_instance_that_does_not_answer_is_not_awaited_for_long(shell: Any) -> None:
    """--timeout says how long."""
    async with FaultServer((ReadRequest(), Stall())) as server:
        shell.use(server.url + "/v1")
        code, found = await findings(shell, "--timeout", "100 ms")
    assert (code, found[f"instance wire@127.0.0.1:{server.port}"]["level"]) == (1, "broken")


async def test_what_is_active_without_being_named(shell: Any) -> None:
    """Plugins because they are installed, a provider because the environment has what it needs."""
    shell.plugin("provider-found", "Found", FOUND)
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.environment["FOUND_AT"] = server.url
        _, found = await findings(shell)
    assert (found["settings"]["level"], found["plugins"]["level"]) == ("note", "note")
    assert "localagent config init" in found["settings"]["hint"]
    assert {"provider-found", "provider-wire"} <= set(found["plugins"]["text"].rstrip(".").replace(",", "").split())
    assert found["provider found"]["level"] == "note"
    assert "detected automatically" in found["provider found"]["text"]


async def test_wrong_settings_are_a_finding(shell: Any) -> None:
    """And not the end of it: findings that do not depend on them are still shown."""
    shell.settings('timeot = "5 s"')
    code, found = await findings(shell)
    assert (code, found["settings"]["level"], found["settings"]["hint"]) == (1, "broken", "Did you mean timeout?")
    assert found["python"]["level"] == "ok"


async def test_broken_and_missing_plugins_are_findings(shell: Any) -> None:
    """Each with the command that fixes it."""
    shell.plugin("cache-broken", "Broken", "import a_module_that_is_not_there")
    code, found = await findings(shell)
    assert (code, found["plugin cache-broken"]["level"]) == (1, "broken")
    assert "Upgrade the-cache-broken from where it was installed" in found["plugin cache-broken"]["hint"]
    shell.settings('use = ["cache-quantum"]')
    code, found = await findings(shell)
    assert (code, found["plugins"]["hint"]) == (1, "See: localagent plugins")


async def test_nothing_to_ask_is_broken(shell: Any) -> None:
    """Without any plugin; the finding says what to install."""
    shell.settings("use = []")
    code, found = await findings(shell)
    assert code == 1
    assert found["plugins"]["hint"].startswith(install("localagent-provider-llamacpp"))


async def test_settings_that_have_no_effect(shell: Any) -> None:
    """For plugins that are not installed, or installed and not active."""
    shell.plugin("request-grumbles", "Grumbles", GRUMBLES)
    shell.settings("""
        use = ["provider-wire"]
        [plugins.request-grumbles]
        [order]
        rate_check = ["failure-retry"]
    """)
    _, found = await findings(shell)
    there = "failure-retry" in find_plugins()
    away = "Add failure-retry to: use = [...]" if there else install("localagent-failure-retry")
    assert found["[plugins.request-grumbles]"]["hint"] == "Add request-grumbles to: use = [...]"
    assert found["[order] rate_check"]["hint"] == away
    assert {found[name]["level"] for name in ("[plugins.request-grumbles]", "[order] rate_check")} == {"warn"}


async def test_models_that_lead_nowhere(shell: Any) -> None:
    """Aliases and the default model; no default at all is only a note."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1", more='[models]\nfast = ["gone/x"]')
        code, found = await findings(shell)
        assert (code, found["alias fast"]["level"], found["default model"]["level"]) == (1, "broken", "ok")
        text = (shell.folder / "localagent.toml").read_text()
        shell.settings(text.replace('default_model = "wire/m"', "").replace("gone/x", "wire/x"))
        code, found = await findings(shell)
        assert (code, found["default model"]["level"]) == (0, "note")
        shell.settings(text.replace("wire/m", "nobody").replace("gone/x", "wire/x"))
        code, found = await findings(shell)
        assert (code, found["default model"]["level"]) == (1, "broken")


async def test_failures_that_were_isolated(shell: Any) -> None:
    """A plugin that fails without affecting an answer is found here."""
    shell.plugin("request-grumbles", "Grumbles", GRUMBLES)
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1", plugins=("request-grumbles",))
        code, found = await findings(shell)
    assert "models_listed" in found["plugin request-grumbles"]["text"]
    assert code == 1


async def test_a_state_folder_that_cannot_be_made(shell: Any) -> None:
    """Found before a plugin needs it; nothing is made to find it, and nothing is broken without it."""
    (shell.folder / "file").touch()
    shell.settings('use = ["provider-wire"]\nstate_folder = "file/below"')
    _, found = await findings(shell)
    assert found["state folder"]["level"] == "warn"
    assert "file is not a folder" in found["state folder"]["text"]
    shell.settings('use = ["provider-wire"]\nstate_folder = "new/folder"')
    _, found = await findings(shell)
    assert found["state folder"]["level"] == "ok"
    assert not (shell.folder / "new").exists()


async def test_the_slow_parser_is_found(shell: Any) -> None:
    """Without its parts in C the HTTP library works, slowly."""
    shell.environment["AIOHTTP_NO_EXTENSIONS"] = "1"
    _, found = await findings(shell)
    assert (found["aiohttp"]["level"], found["aiohttp"]["hint"]) == ("warn", "Run: unset AIOHTTP_NO_EXTENSIONS")


def stranger(shell: Any, name: str, package: str = "localagent") -> None:
    """Install a distribution that brings a file of an import package."""
    (shell.modules / package).mkdir(exist_ok=True)
    (shell.modules / package / "odd.py").touch()
    metadata = shell.modules / f"{name.replace('-', '_')}-9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n")
    (metadata / "RECORD").write_text(f"{package}/odd.py,,\n{metadata.name}/METADATA,,\n")


@pytest.mark.parametrize("name", ["localagent", "LocalAgent", "local-agent-tools"])
async def test_a_stranger_with_our_import_package_is_found(shell: Any, name: str) -> None:
    """Under our name, as on the index, or another: what it is, and how to remove it."""
    stranger(shell, name)
    stranger(shell, "innocent", "innocent")
    shell.use("http://127.0.0.1:9/v1")
    code, found = await findings(shell)
    finding = found[f"distribution {name.lower()}"]
    assert (code, finding["level"]) == (1, "broken")
    assert "not part of LocalAgent" in finding["text"]
    assert f"pip uninstall {name.lower()}" in finding["hint"]
    assert install("localagent-core", options="--force-reinstall --no-deps") in finding["hint"]
    assert [subject for subject in found if subject.startswith("distribution ")] == [f"distribution {name.lower()}"]


async def test_without_a_stranger_nothing_is_said(shell: Any) -> None:
    """LocalAgent's own distributions are not reported, editable or not."""
    _, found = await findings(shell)
    assert [subject for subject in found if subject.startswith("distribution ")] == []
