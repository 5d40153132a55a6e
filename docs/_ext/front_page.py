"""What the first page shows and nobody writes by hand: the table of plugins, and the picture of a request's way.

Both are made from the specifications of the hooks and from the plugins of this repository, in the order of a request.
``docs/_ext/generate.py`` writes them: the table into the README and the landing page, the picture into
``docs/_static/request.svg``.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from xml.sax.saxutils import escape

import attrs

from localagent import Plugin
from localagent.hooks import hookspecs
from localagent.plugin_api.kinds import IMPL_ATTRIBUTE, SPEC_ATTRIBUTE, HookSpec

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/_static/request.svg"
BEGIN, END = "<!-- plugins: generated -->", "<!-- end of plugins -->"
PAGES = {"README.md": "{folder}/README.md", "docs/index.md": "reference/plugins.md#{name}"}
"""The pages with a table of plugins, and where each links a plugin's name."""

ROLES = (
    "standard", "core", "cli", "gateway", "request", "cache", "catalog", "select", "tokenize", "rate", "limit",
    "connect", "provider", "failure", "metrics", "testing",
)  # fmt: skip
"""Roles in the order of a request; the recommended set and the core come first, the test kit last."""
OF_OTHER_NAMES = {"valkey": "cache"}
"""Distributions that are not named for their role."""


@attrs.frozen
class Described:
    """A distribution of this repository.

    Attributes:
        name: Its name, such as ``localagent-cache-memory``.
        folder: Its folder, from the root of the repository.
        summary: What it is, in one sentence.
        role: Its role.
        hooks: The plugins that it brings, each with the names of the hooks that it implements.
    """

    name: str
    folder: str
    summary: str
    role: str
    hooks: dict[str, frozenset[str]]


def described(root: Path = ROOT) -> list[Described]:
    """Return the distributions of the repository in the order of a request.

    Raises:
        ValueError: The name of one begins with no role.
    """
    found = [_described(path, root) for path in sorted(root.glob("plugins/*/pyproject.toml"))]
    return sorted([_described(root / "core/pyproject.toml", root), *found], key=lambda one: ROLES.index(one.role))


def _described(path: Path, root: Path) -> Described:
    project = tomllib.loads(path.read_text())["project"]
    short = project["name"].removeprefix("localagent-")
    role = OF_OTHER_NAMES.get(short, short.partition("-")[0])
    if role not in ROLES:
        raise ValueError(f"{project['name']} has no role; roles are: {', '.join(ROLES)}")
    plugins = project.get("entry-points", {}).get("localagent", {})
    hooks = {name: implemented(_loaded(place)) for name, place in plugins.items()}
    return Described(project["name"], str(path.parent.relative_to(root)), project["description"], role, hooks)


def _loaded(place: str) -> type[Plugin]:
    module, _, name = place.partition(":")
    found: type[Plugin] = getattr(importlib.import_module(module), name)
    return found


def implemented(plugin: type[Plugin]) -> frozenset[str]:
    """Return the names of the hooks that a plugin implements."""
    return frozenset(name for name in dir(plugin) if hasattr(getattr(plugin, name, None), IMPL_ATTRIBUTE))


def table(found: Sequence[Described], link: str) -> str:
    """Return the table of plugins as Markdown.

    Args:
        found: The distributions.
        link: The address of one, with ``{folder}`` and ``{name}`` for its own.
    """
    rows = [f"| [`{one.name}`]({link.format(folder=one.folder, name=one.name)}) | {one.summary} |" for one in found]
    return "\n".join(["| install | what it is |", "|---|---|", *rows])


def with_table(page: str, rows: str) -> str:
    """Return a page with these rows between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{rows}\n\n{END}{rest.partition(END)[2]}"


# The picture: one row for each phase of a request, in it a box for each hook, in the box the plugins that implement it.

WIDTH, LEFT, ROW, BOX = 760, 146, 42, 32
SMALL, LARGE = 6.3, 7.0  # width of a character of 10.5 and 11.5 px in a monospaced face
PHASES = {
    "request": "the request",
    "cache": "answered before?",
    "choice": "which instance?",
    "attempt": "one attempt",
    "provider": "a model answers",
    "answer": "is it good?",
    "failure": "if it failed",
    "stream": "the answer",
    "end": "afterwards",
}
"""The rows in the order of a call, by the phases of its hooks, and what each is about."""
ROWS = {"attempt": ("prepare_attempt", "rate_check", "connect"), "provider": ("provider",)}
"""Rows that do not follow from the phases: an attempt with the transport that it uses, and the provider."""
BESIDE_A_CALL = frozenset({"provide", "tokenize", "list_models", "models_listed", "hedge_after", "collect_stats"})
"""Hooks that have no place on the way of every call."""

STYLE = """
  svg { --ink: #1c2733; --faint: #5d6b7a; --box: #ffffff; --edge: #c3ccd6; --accent: #0b6bcb; --used: #e8f1fb; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --faint: #9aa7b4; --box: #161b22; --edge: #3a444f; --accent: #58a6ff; --used: #152a42; }
  }
  text { fill: var(--ink); font: 11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  .row { fill: var(--faint); font: 12px system-ui, sans-serif; }
  .plugin { fill: var(--accent); font-size: 10.5px; }
  rect { fill: var(--box); stroke: var(--edge); }
  rect.used { fill: var(--used); stroke: var(--accent); }
  path { fill: none; stroke: var(--faint); stroke-width: 1.3; marker-end: url(#head); }
  marker path { fill: var(--faint); stroke: none; marker-end: none; }
"""


BEGIN_OF_THE_WAY = "your program, localagent ask, or any client of the gateway"
HEAD_OF_ARROWS = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)


def specs(module: ModuleType = hookspecs) -> list[HookSpec]:
    """Return the hooks that a module specifies, in the order of its source; the core's follow a request."""
    found = [getattr(value, SPEC_ATTRIBUTE, None) for value in vars(module).values()]
    return [spec for spec in found if isinstance(spec, HookSpec)]


def rows(hooks: Sequence[HookSpec], found: Sequence[Described]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Return the rows of the picture: what each is about, and its hooks with the plugins that implement them."""
    plugins = [(name, names) for one in found for name, names in one.hooks.items()]
    elsewhere = BESIDE_A_CALL.union(*ROWS.values())
    way = {
        phase: [hook.name for hook in hooks if hook.phase == phase and hook.name not in elsewhere] for phase in PHASES
    }
    return [
        (PHASES[phase], [(name, [plugin for plugin, names in plugins if _hook(name) in names]) for name in names])
        for phase, names in {**way, **ROWS}.items()
        if names
    ]


def _hook(name: str) -> str:
    """Return the hook by which a plugin takes this place: a provider brings its type with ``provide``."""
    return "provide" if name == "provider" else name


def picture(hooks: Sequence[HookSpec], found: Sequence[Described]) -> str:
    """Return the way of a request through the plugins, as an SVG for light and dark pages."""
    lines = rows(hooks, found)
    height = (len(lines) + 1) * ROW + 6
    title = "The way of a request through the hooks, and the plugins that implement them"
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        HEAD_OF_ARROWS,
        *_drawn(lines),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _drawn(lines: Sequence[tuple[str, list[tuple[str, list[str]]]]]) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="26">{BEGIN_OF_THE_WAY}</text>'
    ends = {}
    for number, (about, hooks) in enumerate(lines, 1):
        top, left = number * ROW, LEFT
        yield f'<text class="row" x="{LEFT - 28}" y="{top + 18}" text-anchor="end">{escape(about)}</text>'
        yield f'<path d="M{LEFT - 14} {top - 8} V{top + 14}"/>'
        for name, plugins in hooks:
            width = _width(name, plugins)
            yield _box(left, top, width, name, plugins)
            left += width + 8
        ends[about] = (left - 4, top + 14)
    yield from _jump(ends["answered before?"], ends["afterwards"], WIDTH - 30, "a hit")
    yield from _jump(ends["if it failed"], ends["which instance?"], WIDTH - 90, "try again")


def _jump(begin: tuple[int, int], end: tuple[int, int], right: int, words: str) -> Iterator[str]:
    """Draw an arrow from the end of one row to the end of another, by way of the right side."""
    yield f'<path d="M{begin[0]} {begin[1]} H{right} V{end[1]} H{end[0]}"/>'
    yield f'<text class="row" x="{right - 8}" y="{begin[1] - 5}" text-anchor="end">{words}</text>'


def _width(name: str, plugins: Sequence[str]) -> int:
    return round(max(len(name) * LARGE, (sum(map(len, plugins)) + 2 * len(plugins) - 2) * SMALL)) + 16


def _box(left: int, top: int, width: int, name: str, plugins: Sequence[str]) -> str:
    used = ' class="used"' if plugins else ""
    box = f'<rect{used} x="{left}" y="{top - 2}" width="{width}" height="{BOX}" rx="5"/>'
    if not plugins:
        return f'{box}<text x="{left + 8}" y="{top + 18}">{escape(name)}</text>'
    shown = escape("  ".join(plugins)).replace("  ", " &#160;")
    return (
        f'{box}<text x="{left + 8}" y="{top + 11}">{escape(name)}</text>'
        f'<text class="plugin" x="{left + 8}" y="{top + 25}">{shown}</text>'
    )


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Return every generated file with the text that it should have."""
    found = described(root)
    made = {root / name: with_table((root / name).read_text(), table(found, link)) for name, link in PAGES.items()}
    return {**made, root / PICTURE.relative_to(ROOT): picture(specs(), found)}
