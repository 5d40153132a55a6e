"""The valid keys in the memory of one worker, at most half a second old when a request arrives."""

from __future__ import annotations

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from localagent import LocalAgentError, Principal
from localagent.errors import LocalRefusal, StartError
from localagent.timing import in_thread
from localagent_gateway.keys import database
from localagent_gateway.keys.database import left_behind
from localagent_gateway.keys.key import (
    KeyRecord,
    check_pepper,
    digest,
    pepper_identity,
    public_id,
    read_pepper,
    revoked_in,
)
from localagent_gateway.keys.revocations import Revocations
from localagent_gateway.signals import leave_to_main_thread

log = logging.getLogger("localagent.gateway")

POLL_SECONDS = 0.5
NEVER = float("inf")


class KeyReader:
    """Reads the keys again when another process has changed them.

    ``PRAGMA data_version`` shows a change within microseconds (https://sqlite.org/pragma.html#pragma_data_version). A
    replaced or removed file is recognised by its identity. Files stay open, so that the keys can be read even if the
    process cannot open further files.

    Args:
        folder: The folder of the store; it does not have to exist yet.

    Attributes:
        pepper: The pepper; empty as long as there are no keys.
        kept: Whether this reader has ever seen a store. Keys are needed from then on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / database.FILE_NAME
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: tuple[int, dict[str, float]] | None = None
        self._revocations = Revocations(folder)
        self._pepper_file: tuple[int, ...] | None = None
        self.pepper = b""
        self.kept = False

    def changed(self) -> list[KeyRecord] | None:
        """Return all keys; None if nothing has changed since the last call.

        Raises:
            StartError: The store, or the pepper, is missing or cannot be read. The next call tries again.
        """
        with database.translated(self._path):
            self._follow()
            if self._connection is None:
                self._check_never_kept()
                return []
            self.kept = True
            try:
                return self._read(self._connection)
            finally:
                if self._seen is None:  # on a full disk, a connection that has not read anything blocks others
                    self.close()

    def close(self) -> None:
        """Close the store; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._revocations.close()
        self._connection, self._file, self._seen = None, None, None

    def _follow(self) -> None:
        """Open the current file, unless it is already open."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self.close()
        identity = (found.st_dev, found.st_ino)
        if identity != self._file:
            self.close()
            self._connection = database.opened_to_read(self._folder)
            self._file = identity
        return None

    def _check_never_kept(self) -> None:
        """Check that the store is missing only because no keys were ever created.

        Raises:
            StartError: Keys were created.
        """
        left = left_behind(self._folder)
        if left is not None:
            self.kept = True
            raise StartError(
                f"{self._path} is missing, but {left} shows that keys were created, so all requests are refused.",
                hint="Restore it, run: localagent keys create --name NAME, or set require_keys in [plugins.gateway].",
            )

    def _read(self, connection: sqlite3.Connection) -> list[KeyRecord] | None:
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        seen = version, self._revocations.read()
        if seen == self._seen:
            return None
        records = database.records(connection)
        if records:
            self._follow_pepper(database.pepper_digest(connection))
        self._seen = seen  # taken before the rows: a change in between is noticed next time
        return revoked_in(records, seen[1])

    def _follow_pepper(self, known: bytes | None) -> None:
        """Read the pepper, unless its file has not changed since the last time."""
        identity = pepper_identity(self._folder)
        if identity is None or identity != self._pepper_file:
            self.pepper, self._pepper_file = read_pepper(self._folder), identity
        check_pepper(self._folder, self.pepper, known)


@attrs.frozen
class Good:
    """A key that is valid until it expires.

    Attributes:
        digest: Its HMAC.
        principal: The caller that it identifies.
        expires: Seconds since the epoch; infinity for never.
    """

    digest: bytes
    principal: Principal
    expires: float


NOBODY = Good(bytes(32), Principal(), NEVER)  # compared with unknown ids, so that these take the same time


class Keys:
    """The contents of the store at one time.

    Args:
        records: All keys.
        pepper: The pepper.
    """

    def __init__(self, records: Iterable[KeyRecord], pepper: bytes) -> None:
        self._pepper = pepper
        self._good = {
            one.id: Good(one.digest, one.principal, NEVER if one.expires is None else one.expires)
            for one in records
            if one.revoked is None
        }

    def find(self, key: str, now: float) -> Principal | None:
        """Return the caller that a key identifies; None if it is not valid at ``now``, in seconds since the epoch."""
        known = self._good.get(public_id(key), NOBODY)
        same = hmac.compare_digest(known.digest, digest(self._pepper, key))
        return known.principal if same and known is not NOBODY and now < known.expires else None


class KeyTable:
    """The keys, read again if the last reading started ``POLL_SECONDS`` ago or earlier.

    A request uses a reading that started at most ``POLL_SECONDS`` before the request arrived, so a key that was revoked
    before that is refused. However long readings take, a request waits for at most two of them: for the one in
    progress, if it started too early, and for the next. All waiting requests share them, and only one runs at a time.
    Between readings only memory is used, and without requests nothing is read.

    The readings have their own thread, so that nothing else delays them.

    Args:
        reader: Reads the store.
        clock: Returns the loop's monotonic time, in seconds.
    """

    def __init__(self, reader: KeyReader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "gateway-keys", leave_to_main_thread)
        self._began = -NEVER
        self._reading: asyncio.Task[None] | None = None
        self._keys = Keys((), b"")
        self._troubled = False
        self.ever = False

    async def open(self) -> None:
        """Open the store, which then stays open.

        Raises:
            StartError: The store cannot be read.
        """
        began = self._clock()
        self._take(await in_thread(self._reader.changed, executor=self._thread), began)

    async def current(self) -> Keys:
        """Return the keys as they were at most ``POLL_SECONDS`` ago, or later.

        Raises:
            LocalRefusal: The keys cannot be read.
        """
        since = self._clock() - POLL_SECONDS
        while self._began <= since:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_task(self._read(), name="read keys")
            await asyncio.shield(self._reading)  # a client that leaves does not cancel the shared reading
            if self._troubled:
                raise LocalRefusal("The keys cannot be read now.", code="keys_unreadable")
        return self._keys

    async def aclose(self) -> None:
        """Wait for a reading in progress, and close the store."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await in_thread(self._reader.close, executor=self._thread)
        self._thread.shutdown()

    async def _read(self) -> None:
        began = self._clock()
        try:
            records = await in_thread(self._reader.changed, executor=self._thread)
        except LocalAgentError as error:
            self._report(error)
            return
        finally:
            self._reading = None
        self._troubled = False
        self._take(records, began)

    def _take(self, records: Iterable[KeyRecord] | None, began: float) -> None:
        if records is not None:
            self._keys = Keys(records, self._reader.pepper)
            self.ever = self.ever or self._reader.kept
        self._began = began

    def _report(self, error: LocalAgentError) -> None:
        if not self._troubled:
            self._troubled = True
            log.error("%s", error)
