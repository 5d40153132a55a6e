"""Model lists as files, one an instance: written whole or not at all, so that processes need not agree on anything."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from localagent import Instance, ModelInfo

FORGOTTEN = 30 * 86400.0  # seconds after which the file of an instance that nobody uses any more goes
VERSION = 1


class ModelList(msgspec.Struct, frozen=True):
    """What an instance said of its models.

    Attributes:
        listed: Wall-clock seconds at which it said so.
        models: The models.
        version: The form of the file.
    """

    listed: float
    models: tuple[ModelInfo, ...]
    version: int = VERSION


Identity = tuple[str, ...]


def identity(instance: Instance) -> Identity:
    """Return what an instance's list belongs to: whatever decides its answer is in it, keys and options hashed."""
    return instance.type, instance.provider, instance.id, instance.url, instance.fingerprint


_decode = msgspec.json.Decoder(ModelList).decode


class Shelf:
    """The files of one folder.

    Args:
        folder: Returns the folder; asked when it is first needed.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def newer(self, instance: Instance) -> ModelList | None:
        """Return what is kept of an instance, unless it was read or written before; None for what cannot be read.

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
        """Write what an instance said.

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
        """Return the file of an instance; its name is a hash, from which nothing can be told."""
        name = hashlib.sha256("\n".join(identity(instance)).encode()).hexdigest()[:32]
        return self._folder() / f"{name}.json"

    def _tidy(self, folder: Path, before: float) -> None:
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
