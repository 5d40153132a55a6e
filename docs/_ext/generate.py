"""Writes every generated page: ``uv run python docs/_ext/generate.py``.

These are the reference, the table of plugins on the first pages, and the picture of a request. A test compares what is
committed with what this would write.
"""

from __future__ import annotations

from pathlib import Path

import front_page
from reference import api_pages, commands_page, errors_page, hooks_page, metrics_page, plugins_page, test_kit_page

REFERENCE = front_page.ROOT / "docs/reference"
COMMAND = "uv run python docs/_ext/generate.py"
NOTE = f"<!-- generated: {COMMAND} -->\n\n"


def pages() -> dict[Path, str]:
    """Return every generated file with its text."""
    reference = {
        **api_pages.pages(),
        "hooks.md": hooks_page.page(),
        "plugins.md": plugins_page.page(),
        "commands.md": commands_page.page(),
        "errors.md": errors_page.page(),
        "metrics.md": metrics_page.page(),
        "test-kit.md": test_kit_page.page(),
    }
    return {**front_page.pages(), **{REFERENCE / name: NOTE + text for name, text in reference.items()}}


def main() -> None:
    """Write what has changed, and remove the pages of modules that are no longer there."""
    made = pages()
    for path in (REFERENCE / "api").glob("*.md"):
        if path not in made:
            path.unlink()
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(path.relative_to(front_page.ROOT))


if __name__ == "__main__":
    main()
