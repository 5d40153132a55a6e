"""Rooms stay small enough to be read: the sizes of modules and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "core/src/localagent", ROOT / "plugins/gateway/src/localagent_gateway"]
LINES, MODULES_OF_A_ROOM, MODULES_BESIDE_ROOMS = 300, 14, 8


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_no_module_is_long(package: Path) -> None:
    """Comments and docstrings count: a reader reads them."""
    lengths = {path.relative_to(package): len(path.read_text().splitlines()) for path in package.rglob("*.py")}
    assert {path: lines for path, lines in lengths.items() if lines > LINES} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_no_room_is_crowded(package: Path) -> None:
    """A room holds at most 14 modules, and at most 8 stand beside the rooms."""
    rooms = [path for path in package.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    counts = {room.relative_to(package): len([*room.glob("*.py")]) - 1 for room in rooms}
    assert {room: count for room, count in counts.items() if count > MODULES_OF_A_ROOM} == {}
    assert len([*package.glob("*.py")]) <= MODULES_BESIDE_ROOMS
