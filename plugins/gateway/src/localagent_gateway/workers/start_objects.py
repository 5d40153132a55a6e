"""Takes what a worker made at its start out of the collector's sight."""

from __future__ import annotations

import gc


def keep_for_good() -> None:
    """Exempt all objects that are alive now from garbage collection.

    Modules, classes, settings and routes live as long as the process. Without this, each full collection under load
    walks over all of them again. A process calls it once, when it is ready to serve.
    """
    gc.collect()
    gc.freeze()
