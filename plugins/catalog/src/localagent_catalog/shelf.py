"""Model lists as files, one per instance. Files are replaced atomically, so processes need no locks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from localagent import Instance, ModelInfo

FORGOTTEN = 30 * 86400.0  # seconds after which the file of an unused instance is removed
VERSION = 1


class ModelList(msgspec.Struct, frozen=True):
    """The model list of an instance.

    Attributes:
        listed: Wall-clock seconds at which the instance returned it.
        models: The models.
        version: The version of the file format.
    """

    listed: float
    models: tuple[ModelInfo, ...]
    version: int = VERSION


Identity = tuple[str, ...]


def identity(instance: Instance) -> Identity:
    """Return everything that determines an instance's list, with keys and options hashed."""
    return instance.type, instance.provider, instance.id, instance.url, instance.fingerprint


_decode = msgspec.json.Decoder(ModelList).decode


class Shelf:
    """The files of one folder.

    Args:
        folder: Returns the folder; called when it is first needed.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def newer(self, instance: Instance) -> ModelList | None:
        """Return the stored list of an instance; None if this process read or wrote it before, or it is unreadable.

        Raises:
            OSError: The folder cannot be used.
        """
        path = self._path(instance)
        try:
            written = path.stat().st_mtime_ns
            if self._read.get(path) == written:
                return None
            self._read[path] = written
            kept = _decode(path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return kept if kept.version == VERSION else None

    def keep(self, instance: Instance, kept: ModelList) -> None:
        """Write the list of an instance.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path(instance)
        handle, name = tempfile.mkstemp(prefix="new-", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(kept))
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        self._read[path] = path.stat().st_mtime_ns
        self._tidy(path.parent, kept.listed - FORGOTTEN)

    def _path(self, instance: Instance) -> Path:
        """Return the file of an instance; its name is a hash, which reveals nothing."""
        name = hashlib.sha256("\n".join(identity(instance)).encode()).hexdigest()[:32]
        return self._folder() / f"{name}.json"

    def _tidy(self, folder: Path, before: float) -> None:
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
