"""The smallest set: the core, its command line, and a model of this machine."""

from __future__ import annotations

from pathlib import Path

from combo_parts import SMALL, active, localagent

from localagent import Client

SET = ["connect-aiohttp", "provider-llamacpp"]


async def test_a_program_asks_a_model_of_this_machine(tiny_model: Path) -> None:
    """Whole, streamed and embedded; no other plugin is there."""
    settings = {"use": SET, "providers": {"llamacpp": {"model": str(tiny_model), **SMALL}}}
    assert active(settings) == set(SET)
    async with Client(settings, environment={}) as client:
        whole = await client.chat("Hello.", max_tokens=8, temperature=0)
        async with client.stream("Hello.", max_tokens=8, temperature=0) as stream:
            assert (await stream.text(), whole.cached) == (whole.text, "")
        assert len((await client.embed("word")).vectors) == 1


async def test_a_key_in_the_environment_brings_no_provider_that_was_not_chosen() -> None:
    """Only the chosen provider is there, although the key of another service is set."""
    async with Client({"use": SET}, environment={"OPENAI_API_KEY": "a-key"}) as client:
        assert {state.instance.provider for state in await client.health()} == {"llamacpp"}


async def test_the_command_line_asks_it(tiny_model: Path, tmp_path: Path) -> None:
    """With a settings file and nothing else."""
    path = tmp_path / "localagent.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in SMALL.items())
    path.write_text(f'use = {SET}\n[providers.llamacpp]\nmodel = "{tiny_model}"\n{lines}\n')
    code, said = await localagent(path, "ask", "--max-tokens", "4", "Hello.")
    assert (code, bool(said.strip())) == (0, True), said
