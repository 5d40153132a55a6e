"""Renders the first pages in a real browser, light and dark: ``python tests/system/pictures.py docs/_static/pages``.

It needs chromium, markdown-it-py, and the built documentation (``nox -s docs``). The README gets a plain style, similar
to that of code hosts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
LANDING = ROOT / "docs/_build/html/index.html"
STYLE = """
  :root { color-scheme: light dark;
          --ink: #1f2328; --page: #ffffff; --code: #f6f8fa; --edge: #d1d9e0; --link: #0969da; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6edf3; --page: #0d1117; --code: #161b22; --edge: #3d444d; --link: #4493f8; }
  }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 860px; margin: 32px auto; padding: 0 16px; color: var(--ink);
         background: var(--page); }
  pre, code { font: 13.6px/1.45 ui-monospace, monospace; background: var(--code); border-radius: 6px; }
  pre { padding: 16px; overflow: auto; } code { padding: 2px 5px; } pre code { padding: 0; }
  table { border-collapse: collapse; } td, th { border: 1px solid var(--edge); padding: 6px 13px; }
  a { color: var(--link); } img { max-width: 100%; } h1, h2 { border-bottom: 1px solid var(--edge); }
"""


def readme(folder: Path) -> Path:
    """Write the README as a web page; return its path."""
    text = (ROOT / "README.md").read_text()
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    page = folder / "readme.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><base href="{ROOT.as_uri()}/"><style>{STYLE}</style>{body}')
    return page


def shoot(page: Path, picture: Path, *, dark: bool) -> None:
    """Take a picture of the first screens of a page."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--window-size=900,1150", f"--screenshot={picture}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)


def main(folder: Path) -> None:
    """Take the four pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        for name, page in (("readme", readme(Path(made))), ("landing", LANDING)):
            for scheme in ("light", "dark"):
                shoot(page, folder / f"{name}-{scheme}.png", dark=scheme == "dark")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
