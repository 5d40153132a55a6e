"""``python -m localagent_cli``: the same as ``localagent``."""

from localagent_cli import main

main()
