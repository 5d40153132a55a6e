"""All that is installed, at its defaults, behind the official clients."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

from combo_parts import SMALL, asked_by_everybody, localagent
from processes import serving


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
        assert all(await asked_by_everybody(process.url, f"llamacpp/{tiny_model.stem}"))
    code, reported = await localagent(path, "doctor")
    assert "broken" not in reported
