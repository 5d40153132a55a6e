"""The modules of the benchmarks import one another by their bare names, as they do when ``run.py`` is started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
