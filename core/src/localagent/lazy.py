"""Packages whose public names are resolved when they are first asked for, so that importing one of them is light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, gives: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: Its name.
        gives: The names that each of its modules gives to the public, with blanks between them.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        home = next((module for module, names in gives.items() if name in names.split()), None)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
