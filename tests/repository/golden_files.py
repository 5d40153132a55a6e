"""Files that hold what users see, so that a change of it is a change of a file.

``LOCALAGENT_UPDATE_GOLDENS=1 pytest tests/repository`` writes them; a review reads their diff.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"
UPDATE = os.environ.get("LOCALAGENT_UPDATE_GOLDENS") == "1"


def check(name: str, text: str) -> None:
    """Hold a text against the golden file of this name, or write it there when an update is asked for."""
    path = FOLDER / name
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs; LOCALAGENT_UPDATE_GOLDENS=1 writes it again"
