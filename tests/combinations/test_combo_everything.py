"""All that is installed, at its defaults, behind the official clients."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import httpx
from combo_parts import SMALL, asked_by_everybody, localagent
from processes import serving
from prometheus_client.parser import text_string_to_metric_families


async def test_every_plugin_is_active_and_everybody_is_answered(tiny_model: Path, valkey: str, tmp_path: Path) -> None:
    """Without ``use``, installed is active."""
    path = tmp_path / "localagent.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in SMALL.items())
    path.write_text(
        f'state_folder = "{tmp_path}"\n[providers.llamacpp]\nmodel = "{tiny_model}"\n{lines}\n'
        f'[plugins.cache-valkey]\nurl = "{valkey}"\nprefix = "everything:"\n[plugins.gateway]\nlog = "none"\n'
    )
    code, reported = await localagent(path, "plugins", "--json")
    states = {plugin["name"]: plugin["state"] for plugin in json.loads(reported)["plugins"]}
    assert (code, states) == (0, {point.name: "active" for point in entry_points(group="localagent")})
    async with serving(path) as process:
        answered = await asked_by_everybody(process.url, f"llamacpp/{tiny_model.stem}")
        assert all(answered)
        async with httpx.AsyncClient(timeout=30) as http:
            text = (await http.get(f"{process.url}/metrics")).text
    shown = {name: sum(values) for name, values in values_by_name(text).items()}
    assert shown["localagent_operations_total"] >= len(answered)
    assert shown["localagent_attempts_total"] == shown["localagent_instance_attempts_total"]
    assert shown["localagent_plugins_active"] == len(states)
    code, reported = await localagent(path, "doctor")
    assert "broken" not in reported


def values_by_name(text: str) -> dict[str, list[float]]:
    """Return the values of all series, by name, as the official parser reads them."""
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found
