"""Where tests find programs of the system."""

from collections.abc import Callable

Program = Callable[[str], str]
"""Returns the path of a program, by its name; skips the test where it is not installed."""
