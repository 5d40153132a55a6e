"""What ``localagent doctor`` finds in the files of keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time as wall

from localagent.errors import StartError
from localagent_cli import Finding, broken, open_to_others
from localagent_gateway.keys import database, pepper, revocations
from localagent_gateway.keys.live_keys import KeyReader
from localagent_gateway.settings import GatewaySettings

SUBJECT = "gateway keys"
FILES = (database.FILE_NAME, f"{database.FILE_NAME}-wal", f"{database.FILE_NAME}-shm", pepper.FILE_NAME,
         revocations.FILE_NAME)  # fmt: skip


def diagnosis(folder: Path, settings: GatewaySettings) -> list[Finding]:
    """Look at the files of keys; nothing is made.

    Args:
        folder: The gateway's folder in the state folder.
        settings: The gateway's settings.
    """
    return [*_readable(folder), *_replaceable(folder), *_of_keys(folder, settings)]


def _readable(folder: Path) -> Iterator[Finding]:
    for path in (folder / name for name in FILES):
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("broken", SUBJECT, f"Other users may read {path}, or write to it.", f"Run: chmod 600 {path}")


def _replaceable(folder: Path) -> Iterator[Finding]:
    place = open_to_others(folder.absolute()) if folder.exists() else None
    if place is not None:
        yield Finding("broken", SUBJECT, f"Other users may replace the keys: they may write to {place}.",
                      f"Run: chmod go-w {place}")  # fmt: skip


def _of_keys(folder: Path, settings: GatewaySettings) -> Iterator[Finding]:
    with closing(KeyReader(folder)) as reader:
        try:
            records = reader.changed() or []
        except StartError as error:
            yield broken(SUBJECT, error)
            return
    good = sum(record.state(wall()) == "active" for record in records)
    if good:
        yield Finding("ok", SUBJECT, f"{good} of {len(records)} are good.")
    elif reader.kept and settings.require_keys != "never":
        yield Finding("warn", SUBJECT, "None is good any more, so the gateway refuses everybody.",
                      "Run: localagent keys create --name NAME")  # fmt: skip
