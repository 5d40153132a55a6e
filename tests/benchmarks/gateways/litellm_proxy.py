"""LiteLLM's proxy, in an environment of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from answers import KEY, MODEL

from gateways.installation import FOLDER, install, tool
from gateways.processes import LeftOut, Proxy, free_port, listening

WITHDRAWN = ("1.82.7", "1.82.8")
"""Releases that were tampered with: they are never installed and never imported."""
REQUIREMENT = "litellm[proxy]" + ",".join(f"!={version}" for version in WITHDRAWN)
MASTER_KEY = "sk-for-the-loopback"

SETTINGS = """
model_list:
- model_name: {model}
  litellm_params:
    model: openai/{model}
    api_base: http://127.0.0.1:{upstream}/v1
    api_key: {key}
general_settings:
  master_key: {master_key}
litellm_settings:
  set_verbose: false
  telemetry: false
"""
QUIET = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""What its documentation advises for production; and its list of prices from the package, not from the internet."""
NO_ACCESS_LOG = '{"version": 1, "disable_existing_loggers": false, "loggers": {"uvicorn.access": {"level": "ERROR"}}}'


def installed() -> Path:
    """Install it if it is not there; return its environment.

    Raises:
        LeftOut: It cannot be installed.
    """
    folder = FOLDER / "litellm"
    uv, python = tool("uv"), str(folder / "bin/python")
    install(
        folder / "bin/litellm",
        [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", python, REQUIREMENT],
        ],
    )
    return folder


def version(folder: Path) -> str:
    """Return which release an environment holds.

    Raises:
        LeftOut: It is one that was tampered with.
    """
    (found,) = folder.glob("lib/python*/site-packages/litellm-*.dist-info")
    release = found.name.removeprefix("litellm-").removesuffix(".dist-info")
    if release in WITHDRAWN:
        raise LeftOut(f"release {release} was tampered with.")
    return release


@contextmanager
def litellm(upstream: int) -> Iterator[Proxy]:
    """Run LiteLLM's proxy with one worker, without a database, without an access log.

    Raises:
        LeftOut: It cannot be installed.
    """
    environment = installed()
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(made), free_port()
        settings = SETTINGS.format(model=MODEL, upstream=upstream, key=KEY, master_key=MASTER_KEY)
        (folder / "settings.yaml").write_text(settings)
        (folder / "log.json").write_text(NO_ACCESS_LOG)
        command = [str(environment / "bin/litellm"), "--config", "settings.yaml", "--log_config", "log.json"]
        options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        with listening([*command, *options], port, folder, QUIET) as pid:
            yield Proxy(f"LiteLLM proxy {version(environment)}", pid, port, MODEL, MASTER_KEY)
