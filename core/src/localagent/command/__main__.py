"""``python -m localagent.command``: the same as ``localagent``."""

from localagent.command import main

main()
