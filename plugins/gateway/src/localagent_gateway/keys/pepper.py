"""The pepper: a secret beside the store, without which what the store holds says nothing about keys."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path

from localagent.errors import StartError

FILE_NAME = "pepper"
LENGTH = 32


def read_pepper(folder: Path) -> bytes:
    """Return the pepper.

    Raises:
        StartError: It is missing, damaged, or can be read by others.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pepper = file.read(LENGTH + 1)
    except FileNotFoundError:
        raise StartError(f"{path} is missing; without it no key can be checked.",
                         mend=f"Restore it, or delete {folder / 'keys.db'} and create new keys.") from None  # fmt: skip
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.", mend="Make it readable for this user.") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StartError(f"{path} can be read by other users.", mend=f"Run: chmod 600 {path}")
    if len(pepper) != LENGTH:
        raise StartError(f"{path} does not hold {LENGTH} bytes.", mend="Restore it.")
    return pepper


def identity(folder: Path) -> tuple[int, ...] | None:
    """Return what tells one pepper's file from another, and from itself after a change; None where there is none."""
    try:
        found = (folder / FILE_NAME).stat()
    except OSError:  # reading it says why
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def pepper_digest(pepper: bytes) -> bytes:
    """Return what tells whether a store was made with a pepper; it says nothing else about it."""
    return hmac.digest(pepper, b"localagent gateway pepper", "sha256")


def check_pepper(folder: Path, pepper: bytes, known: bytes | None) -> None:
    """Check that a store was made with a pepper.

    Args:
        folder: The folder of both.
        pepper: The pepper.
        known: What the store knows of its pepper; None where it knows nothing.

    Raises:
        StartError: It was made with another.
    """
    if known is not None and not hmac.compare_digest(known, pepper_digest(pepper)):
        path, store = folder / FILE_NAME, folder / "keys.db"
        raise StartError(f"{path} does not belong to {store}, so no key can be checked.",
                         mend=f"Restore the one that does, or delete {store} and create new keys.")  # fmt: skip


def made_pepper(folder: Path) -> bytes:
    """Return the pepper, made if there is none.

    It comes into being whole: nobody ever reads half of it, and of two processes that make one at the same time, both
    use the same.

    Raises:
        StartError: It cannot be made; see also ``read_pepper``.
    """
    path = folder / FILE_NAME
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise StartError(f"{path} cannot be made: {error.strerror}.",
                             mend="Free some space, or set state_folder in the settings.") from None  # fmt: skip
    return read_pepper(folder)


def _make(path: Path) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=FILE_NAME)  # of mode 0600, by its contract
    try:
        with os.fdopen(number, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        Path(name).unlink()
