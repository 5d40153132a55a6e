"""Progress messages for work that delays an answer, such as loading a model or downloading a file.

The code that does the work logs short messages to ``progress`` at level INFO. They must not contain prompts or keys.
The command line shows the latest message until the answer begins; other programs ignore them::

    progress.info("loading %s ... %.1f s", model, seconds)
"""

from __future__ import annotations

import logging

progress = logging.getLogger("localagent.progress")
