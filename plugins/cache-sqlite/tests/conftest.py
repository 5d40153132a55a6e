"""Makes the helper modules of these tests importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # entries and traces are imported by their bare names
