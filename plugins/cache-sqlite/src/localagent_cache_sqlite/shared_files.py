"""One open file of each path in a process, and none that is carried through a fork.

Two open files of one path would be a danger. When one of them notices that the file was removed and opens the next one,
the other still has the files of the same names beside it, and POSIX drops the locks of both when either is closed
(https://www.sqlite.org/howtocorrupt.html, section 2.2). A connection that a forked child inherits believes that it
holds the locks of its parent (section 2.6), so the files are closed during a fork.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from weakref import WeakValueDictionary

from localagent_cache_sqlite.answer_file import AnswerFile

_files: WeakValueDictionary[Path, AnswerFile] = WeakValueDictionary()
_finding = threading.Lock()
_suspended: list[AnswerFile] = []


def file_at(path: Path) -> AnswerFile:
    """Return the file of a path: the same one for all of this process, also where links lead to it."""
    real = Path(os.path.realpath(path))
    with _finding:
        found = _files.get(real)
        if found is None:
            found = _files[real] = AnswerFile(real)
        return found


def _before_fork() -> None:
    _finding.acquire()
    _suspended[:] = _files.values()
    for file in _suspended:
        file.suspend()


def _after_fork_in_parent() -> None:
    for file in _suspended:
        file.resume()
    _suspended.clear()
    _finding.release()


def _after_fork_in_child() -> None:
    for file in _suspended:
        file.abandon()
    _suspended.clear()
    _files.clear()  # a client of the child's own opens files of its own
    _finding.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
