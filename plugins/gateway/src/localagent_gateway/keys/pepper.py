"""The pepper: a secret beside the store, without which what the store holds says nothing about keys."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

from localagent import StartError

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
