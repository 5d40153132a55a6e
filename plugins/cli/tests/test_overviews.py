"""``models``, ``plugins`` and ``explain``: what there is, and why."""

from __future__ import annotations

import json
from typing import Any

from localagent_testing import CANARY_PROMPT, FaultServer, ReadRequest, Send, answer

MODELS = {"object": "list", "data": [
    {"id": "small", "owned_by": "somebody", "context_length": 2048}, {"id": "large"},
]}  # fmt: skip
GUARD = """
    from localagent import Plugin, hookimpl

    class Guard(Plugin):
        @hookimpl(before="cache", of="gateway")
        def gateway_add_routes(self): ...

        @hookimpl(after=("request-a",))
        async def pre_request(self, call, request): ...
"""
FIRST = """
    from localagent import Plugin, hookimpl

    class First(Plugin):
        @hookimpl
        async def pre_request(self, call, request): ...
"""
QUIET = """
    from localagent import Plugin

    class Quiet(Plugin):
        default = False
"""
SHY = """
    from localagent import Plugin

    class Shy(Plugin):
        def remarks(self, settings):
            return [f"leaves {name} alone." for name in settings.providers]
"""
BROKEN = "import a_module_that_is_not_there"


def three_plugins(shell: Any) -> None:
    """Install two steps of a hook and an observer of another plugin's hook."""
    shell.plugin("request-a", "Guard", GUARD.replace('after=("request-a",)', 'after="request-b"'))
    shell.plugin("request-b", "First", FIRST)
    shell.use("http://127.0.0.1:9/v1", plugins=("request-a", "request-b"))


async def test_models_are_lines_for_programs(shell: Any) -> None:
    """Name for --model, window, owner, instances, with tabs between them; aliases come first."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1", more='[models]\nfast = ["wire/small", "wire/large"]')
        result = await shell.run("models")
    instance = f"wire@127.0.0.1:{server.port}"
    assert (result.code, result.err) == (0, "")
    assert [line.split("\t") for line in result.out.splitlines()] == [
        ["fast", "", "", "= wire/small, wire/large"],
        ["wire/large", "", "", instance],
        ["wire/small", "2048", "somebody", instance],
    ]


async def test_models_are_a_table_on_a_terminal(shell: Any) -> None:
    """With headings."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1")
        async with shell.screen("--no-color", "models") as screen:
            assert await screen.ends() == 0
    assert "Model" in screen.text
    assert "wire/small" in screen.text


async def test_an_instance_that_does_not_answer_is_told(shell: Any, refuses: Any) -> None:
    """One line with the reason; the models of the others are still listed."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as well, FaultServer(refuses(401, "no")) as ill:
        shell.use(well.url + "/v1", ill.url + "/v1")
        result = await shell.run("models")
        as_json = json.loads((await shell.run("models", "--json")).out)
    ident = f"wire@127.0.0.1:{ill.port}"
    assert (result.code, len(result.out.splitlines())) == (0, 2)
    assert result.err.startswith(f"warning: {ident} did not answer: The provider does not accept the key")
    assert [model["name"] for model in as_json["models"]] == ["wire/small", "wire/large"]
    assert [(item["instance"], item["code"]) for item in as_json["unreachable"]] == [(ident, "upstream_auth")]


async def test_no_answer_at_all_is_a_failure(shell: Any, refuses: Any) -> None:
    """With the exit code of the first error."""
    async with FaultServer(refuses(401, "no")) as server:
        shell.use(server.url + "/v1")
        assert (await shell.run("models")).code == 5


async def test_what_the_settings_name_is_listed_without_an_answer(shell: Any, refuses: Any) -> None:
    """Aliases, their targets and the default model, with the warning and the exit code that say why nothing else is."""
    async with FaultServer(refuses(404, "no")) as server:
        shell.use(server.url + "/v1", more='[models]\nfast = ["wire/small"]')
        result = await shell.run("models")
        as_json = json.loads((await shell.run("models", "--json")).out)
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["fast", "wire/m", "wire/small"]
    assert "did not answer" in result.err
    assert result.code != 0
    assert as_json["aliases"] == {"fast": ["wire/small"]}
    assert sorted(model["name"] for model in as_json["models"]) == ["wire/m", "wire/small"]


async def test_the_models_of_one_provider(shell: Any) -> None:
    """Only its instances are asked; an unknown provider is wrong usage, and the known ones are named."""
    async with FaultServer((ReadRequest(), Send(answer(200, MODELS)))) as server:
        shell.use(server.url + "/v1", more='[providers.other]\ntype = "wire"\ninstances = ["http://127.0.0.1:9"]')
        result = await shell.run("models", "--provider", "wire")
        assert (result.code, result.err) == (0, "")
        unknown = await shell.run("models", "--provider", "nobody")
        assert unknown.code == 2
        assert "Available: other, wire." in unknown.err


async def test_plugins_say_where_they_stand_and_why(shell: Any) -> None:
    """Name, version, distribution, state, hook, place, reason; a hook whose bringer is missing is idle."""
    three_plugins(shell)
    result = await shell.run("plugins")
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert ["request-a", "1.0", "the-request-a", "active", "pre_request", "2 of 2",
            "request-a runs after request-b"] in rows  # fmt: skip
    assert ["request-a", "1.0", "the-request-a", "active", "gateway_add_routes", "idle",
            "the plugin gateway is not active"] in rows  # fmt: skip
    assert result.code == 0


async def test_plugins_that_are_not_loaded_say_why(shell: Any) -> None:
    """Off by default, not chosen, or broken; the last with how to fix it."""
    shell.plugin("failure-quiet", "Quiet", QUIET)
    shell.plugin("cache-broken", "Broken", BROKEN)
    result = await shell.run("plugins", "--json")
    found = {plugin["name"]: plugin for plugin in json.loads(result.out)["plugins"]}
    assert found["failure-quiet"]["state"] == "idle"
    assert "off by default" in found["failure-quiet"]["why"]
    assert found["cache-broken"]["state"] == "failed"
    assert "a_module_that_is_not_there" in found["cache-broken"]["why"]
    assert "Upgrade the-cache-broken from where it was installed" in found["cache-broken"]["hint"]
    assert result.err == ""
    shell.use("http://127.0.0.1:9")
    assert "not among the plugins that the settings name" in (await shell.run("plugins")).out


async def test_plugins_are_blocks_on_a_terminal(shell: Any) -> None:
    """The name with its distribution above, its steps below."""
    three_plugins(shell)
    async with shell.screen("--no-color", "plugins") as screen:
        await screen.shows("request-a 1.0 (the-request-a)")
        await screen.shows("active: named in the settings")
        await screen.shows("pre_request")
        assert await screen.ends() == 0


async def test_plugins_are_listed_even_if_they_cannot_be_ordered(shell: Any) -> None:
    """What is installed, then the sentence that says what is wrong."""
    three_plugins(shell)
    shell.plugin("request-c", "Odd", FIRST.replace("First", "Odd").replace("call, request", "nonsense"))
    shell.use("http://127.0.0.1:9", plugins=("request-c",))
    result = await shell.run("plugins")
    assert result.code == 2
    assert "request-c\t1.0" in result.out
    assert result.err.startswith("error: Plugin request-c (distribution the-request-c 1.0) cannot be used")


async def test_explain_shows_the_steps_in_order(shell: Any) -> None:
    """For every operation; one that equals another refers to it. No server is asked."""
    three_plugins(shell)
    result = await shell.run("explain")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    at = lines.index("chat")
    assert lines[at + 1 : at + 5] == [
        "pre_request 1. request-b by name",
        "2. request-a request-a runs after request-b",
        "complete: as chat",
        "embed: as chat",
    ]
    document = json.loads((await shell.run("explain", "--json")).out)
    assert [step["plugin"] for step in document["embed"]["pre_request"]] == ["request-b", "request-a"]


async def test_explain_shows_what_plugins_remark(shell: Any) -> None:
    """A remark of a plugin is shown below the steps with its name; in JSON there is a list of remarks."""
    shell.plugin("request-a", "Shy", SHY)
    shell.use("http://127.0.0.1:9/v1", plugins=("request-a",))
    said = [
        "connect-aiohttp: wire has at most 100 connections at a time, kept idle for 4 s.",
        "request-a: leaves wire alone.",
    ]
    assert (await shell.run("explain")).out.splitlines()[-2:] == said
    assert json.loads((await shell.run("explain", "--json")).out)["remarks"] == said


async def test_explain_with_a_prompt_shows_the_receipt(shell: Any, answers: Any) -> None:
    """What each step decided and what it cost, without prompt and answer."""
    three_plugins(shell)
    async with FaultServer(answers("Secret answer")) as server:
        shell.use(server.url + "/v1", plugins=("request-a", "request-b"))
        result = await shell.run("explain", CANARY_PROMPT)
        assert (result.code, result.err) == (0, "")
        assert "attempt 1: wire/m at" in result.out
        *steps, own = result.out.splitlines()[2:]
        assert [line.split()[:2] for line in steps] == [["pre_request", "request-b"], ["pre_request", "request-a"]]
        assert own.startswith("  core: ")
        assert CANARY_PROMPT not in result.out
        assert "Secret answer" not in result.out
        receipt = json.loads((await shell.run("explain", "--json", "Hi")).out)
        assert receipt["attempts"][0]["status"] == "ok"
