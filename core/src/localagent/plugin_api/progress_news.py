"""News about what takes long before an answer can begin: a model that loads, a file that is downloaded.

Code that does such work logs short texts to ``progress`` at level INFO, as often as there is news; they hold neither
prompts nor keys. The command line shows the newest one until the answer begins. Elsewhere the texts are ignored::

    progress.info("loading %s ... %.1f s", model, seconds)
"""

from __future__ import annotations

import logging

progress = logging.getLogger("localagent.progress")
