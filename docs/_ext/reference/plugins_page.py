"""The plugins of this repository: their hooks, commands and settings, in the order of a request."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from typing import Any

import attrs
from front_page import ROOT, Described, described

from localagent import Plugin
from localagent.settings import setting_fields
from localagent.structuring.fields import expected
from localagent_cli.settings_text import with_unit
from reference.docstrings import attributes, markdown

INTRODUCTION = """# Plugins

Every distribution of this repository that is a plugin, in the order of a request. An installed plugin is active unless
its section says otherwise; `use = [...]` in the [settings](settings.md) chooses among the installed ones."""


def page() -> str:
    """Return the page."""
    return "\n\n".join([INTRODUCTION, *map(section, described())]) + "\n"


def section(one: Described) -> str:
    """Return what there is to know of a distribution."""
    entries = tomllib.loads((ROOT / one.folder / "pyproject.toml").read_text())["project"].get("entry-points", {})
    commands = sorted(entries.get("localagent.commands", {}))
    parts = [f"## {one.name}", f"{one.summary} Its README: `{one.folder}/README.md`.", f"- role: {one.role}"]
    if commands:
        listed = ", ".join(f"[`localagent {name}`](commands.md#localagent-{name})" for name in commands)
        parts[-1] += f"\n- commands: {listed}"
    for name, place in entries.get("localagent", {}).items():
        module, _, attribute = place.partition(":")
        parts += plugin(name, getattr(importlib.import_module(module), attribute), one.hooks[name])
    return "\n\n".join(parts)


def plugin(name: str, kind: type[Plugin], hooks: frozenset[str]) -> list[str]:
    """Return the parts of a section about one plugin: what it does, its hooks, and its settings."""
    active = "active when it is installed" if kind.default else "active only when it is named in `use`"
    brought = f", brings hooks of its own (`{kind.hookspecs.__name__}`)" if kind.hookspecs is not None else ""
    links = ", ".join(f"[`{hook}`](hooks.md#{hook})" for hook in sorted(hooks)) or "none"
    parts = [f"**Plugin `{name}`** ({active}{brought}). Hooks: {links}.", markdown(kind)]
    fields = setting_fields(kind.settings_class)
    if fields:
        parts.append(f"Settings in `[plugins.{name}]`:\n\n{settings(kind.settings_class)}")
    return [part for part in parts if part]


def settings(kind: type) -> str:
    """Return the table of the settings that an attrs class holds."""
    described_as, defaults = (
        attributes(inspect.getdoc(kind) or ""),
        {one.name: one.default for one in attrs.fields(kind)},
    )
    rows = [
        f"| `{key}` | {_cell(expected(field.kind))} | {_cell(default(defaults[field.attribute], field.kind))} | "
        f"{_cell(described_as.get(field.attribute, ''))} |"
        for key, field in setting_fields(kind).items()
    ]
    return "\n".join(["| setting | expected | default | what it does |", "|---|---|---|---|", *rows])


def default(value: Any, kind: Any) -> str:
    """Return a default as people write it."""
    if value is attrs.NOTHING:
        return "required"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    if attrs.has(type(value)):
        return "see the table of its own"
    shown = with_unit(value, kind)
    return "none" if shown is None else f"`{shown}`" if not isinstance(shown, bool) else f"`{str(shown).lower()}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
