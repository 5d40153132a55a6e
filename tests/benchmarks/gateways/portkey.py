"""Portkey's gateway, the npm package ``@portkey-ai/gateway``, on Node.js."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from answers import KEY, MODEL

from gateways.installation import FOLDER, install, tool
from gateways.processes import Proxy, free_port, listening

PACKAGE = "@portkey-ai/gateway"
MANIFEST = {"private": True, "dependencies": {PACKAGE: "^1.15.2"}, "overrides": {"@hono/node-server": "1.13.7"}}
"""With ``@hono/node-server`` above 1.14.2, which npm would choose, every stream is answered with 500: issue 1389 of
Portkey-AI/gateway."""


def installed() -> Path:
    """Install it if it is not there; return the package's folder.

    Raises:
        LeftOut: It cannot be installed.
    """
    folder = FOLDER / "portkey"
    package = folder / "node_modules" / PACKAGE
    npm = tool("npm")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(MANIFEST))
    options = ["--prefix", str(folder), "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    install(package, [[npm, "install", *options]])
    return package


@contextmanager
def portkey(upstream: int) -> Iterator[Proxy]:
    """Run the gateway in one process; each request tells it where to go.

    Raises:
        LeftOut: It cannot be installed.
    """
    node, package = tool("node"), installed()
    version = json.loads((package / "package.json").read_text())["version"]
    port = free_port()
    command = [node, str(package / "build/start-server.js"), "--headless", f"--port={port}"]
    where = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1")
    with listening(command, port, package.parents[2], {"NODE_ENV": "production"}) as pid:
        yield Proxy(f"Portkey gateway {version}", pid, port, MODEL, KEY, where)
