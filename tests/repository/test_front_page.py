"""The first page: the table of plugins and the picture of a request are those of this repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import front_page
import pytest

REFRESH = "run: uv run python docs/_ext/generate.py"


def test_the_generated_parts_are_fresh() -> None:
    """The table in the README and on the landing page, and the picture."""
    stale = [str(path) for path, text in front_page.pages().items() if path.read_text() != text]
    assert not stale, REFRESH


def test_a_change_of_a_plugin_makes_them_stale(root: Path, tmp_path: Path) -> None:
    """Its description stands in both tables; its name in the picture."""
    for name in (*front_page.PAGES, "core/pyproject.toml", "docs/_static/request.svg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    for path in root.glob("plugins/*/pyproject.toml"):
        made = tmp_path / path.relative_to(root)
        made.parent.mkdir(parents=True)
        text = path.read_text()
        made.write_text(text.replace("Response cache in memory", "A cache").replace("metrics-savings =", "metrics-x ="))
    stale = [path for path, text in front_page.pages(tmp_path).items() if path.read_text() != text]
    assert [str(path.relative_to(tmp_path)) for path in stale] == [*front_page.PAGES, "docs/_static/request.svg"]


GATEWAY = {"gateway_authenticate", "gateway_add_routes"}


def test_the_table_lists_every_distribution_once(plugins: list[Path]) -> None:
    """In the order of a request: the cache before the provider, the test kit last."""
    names = [one.name for one in front_page.described()]
    assert sorted(names) == sorted(["localagent-core", *(f"localagent-{plugin.name}" for plugin in plugins)])
    assert names.index("localagent-cache-memory") < names.index("localagent-provider-openai")
    assert names[-1] == "localagent-testing"


def test_the_picture_shows_every_plugin_and_every_hook_of_a_call() -> None:
    """Hooks that nothing implements as well; it is well-formed XML."""
    found = front_page.described()
    drawn = front_page.picture(front_page.specs(), found)
    texts = " ".join("".join(text.itertext()) for text in ET.fromstring(drawn).iter() if text.text)
    hooks = {spec.name for spec in front_page.specs()} - front_page.BESIDE_A_CALL
    plugins = {name for one in found for name, names in one.hooks.items() if names - front_page.BESIDE_A_CALL - GATEWAY}
    assert {name for name in hooks | plugins if name not in texts} == set()


def test_a_distribution_needs_a_role(tmp_path: Path) -> None:
    """The error lists the roles."""
    for name in ("core", "plugins/odd-one"):
        (tmp_path / name).mkdir(parents=True)
        text = f'[project]\nname = "localagent-{Path(name).name}"\ndescription = ""\n'
        (tmp_path / name / "pyproject.toml").write_text(text)
    with pytest.raises(ValueError, match=r"localagent-odd-one has no role; roles are: standard, "):
        front_page.described(tmp_path)


def test_a_box_is_marked_only_where_a_plugin_is() -> None:
    """Without plugins no box is."""
    alone = [attrs.evolve(one, hooks={}) for one in front_page.described()]
    assert 'class="used"' in front_page.picture(front_page.specs(), front_page.described())
    assert 'class="used"' not in front_page.picture(front_page.specs(), alone)
