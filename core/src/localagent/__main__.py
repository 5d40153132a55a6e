"""``python -m localagent``: runs the command line, if it is installed."""

import importlib.util
import sys

from localagent.plugin_api.installing import CLI, install

if importlib.util.find_spec("localagent_cli") is None:
    sys.exit(f"The command line is not installed. {install(CLI)}")
from localagent_cli import main

main()
