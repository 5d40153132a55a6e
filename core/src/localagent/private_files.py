"""Files that only this user may read, such as databases."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def create_private_file(path: Path) -> None:
    """Create an empty file that only this user may read, unless there is one.

    Use it before ``sqlite3.connect``, so that SQLite does not create the file with the rights of the umask. The files
    that SQLite puts beside it take its mode.

    A file that exists is never opened: closing it again would drop every lock that this process holds on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2). For the same reason a new file is closed before it gets
    its name.

    Args:
        path: The file; a symbolic link is followed. Its folder must exist.

    Raises:
        OSError: It cannot be created.
    """
    import tempfile

    if path.exists():
        return
    target = Path(os.path.realpath(path))
    try:
        number, unnamed = tempfile.mkstemp(prefix=".new-", dir=target.parent)  # of mode 0600, by its contract
    except OSError as error:  # which names a file that nobody knows, another one each time
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(number)
    try:
        os.link(unnamed, target)
    except FileExistsError:
        pass  # another thread or process was faster
    except OSError:  # the file system has no hard links
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        Path(unnamed).unlink()
