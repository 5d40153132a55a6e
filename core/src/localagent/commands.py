"""What a plugin brings to add a command to the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen
class Command:
    """A command of the command line.

    Attributes:
        name: As it is typed: ``localagent NAME``.
        help: One line for the list of commands.
        make: Returns the ``click.Command``; called only when the command line runs, so that a plugin need not
            import click before.
    """

    name: str
    help: str
    make: Callable[[], Any]
