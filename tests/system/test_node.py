"""The official clients for Node, against ``localagent serve``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from processes import serving, upstream, write_settings
from programs import Program

CLIENTS = Path(__file__).parent / "node"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_an_official_client_of_node(program: Program, node_modules: Path, tmp_path: Path, name: str) -> None:
    """A whole answer, a streamed one, the list of models, and the status of an unknown model."""
    node, script = program("node"), node_modules.parent / f"{name}_client.mjs"
    script.write_text((CLIENTS / script.name).read_text())
    async with upstream() as up, serving(write_settings(tmp_path, up.url)) as served:
        client = await asyncio.create_subprocess_exec(
            node, str(script), served.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()
    assert json.loads(out) == {"whole": "Hello.", "streamed": "Hello.", "models": ["up/m"], "failure": 404}
