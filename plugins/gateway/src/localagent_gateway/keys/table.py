"""The keys that are good now, in the memory of one worker: as they were at most half a second before a request came."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import attrs

from localagent import LocalAgentError, LocalRefusal, Principal, in_thread
from localagent_gateway.keys.form import digest, public_id
from localagent_gateway.keys.record import KeyRecord
from localagent_gateway.thread_signals import leave_to_main_thread

log = logging.getLogger("localagent.gateway")

POLL_SECONDS = 0.5
NEVER = float("inf")


class Reader(Protocol):
    """What the table is filled from; see ``KeyReader``."""

    @property
    def pepper(self) -> bytes:
        """The pepper."""

    @property
    def kept(self) -> bool:
        """Whether there ever was a store."""

    def changed(self) -> list[KeyRecord] | None:
        """Return all keys; None when nothing has changed."""

    def close(self) -> None:
        """Close the store."""


@attrs.frozen
class Good:
    """A key that is good until it expires.

    Attributes:
        digest: Its HMAC.
        principal: Who asks with it.
        expires: Seconds since the epoch; infinity for never.
    """

    digest: bytes
    principal: Principal
    expires: float


NOBODY = Good(bytes(32), Principal(), NEVER)  # what an unknown id is compared with, so that it takes as long


class Keys:
    """What was in the store at one time.

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
        """Return who asks with a key; None when it is not good at this time, in seconds since the epoch."""
        known = self._good.get(public_id(key), NOBODY)
        same = hmac.compare_digest(known.digest, digest(self._pepper, key))
        return known.principal if same and known is not NOBODY and now < known.expires else None


class KeyTable:
    """The keys, read again when the last reading began ``POLL_SECONDS`` ago or earlier.

    A request is answered by a reading that began at most ``POLL_SECONDS`` before the request came, so a key that was
    revoked before that lets nobody in. However long readings take, a request waits for two of them at most: for the
    one that is under way, if it began too early, and for the next. All who wait share them, and there is never more
    than one at a time. Between readings nothing but memory is touched, and while nobody asks nothing is read.

    The readings have a thread of their own, so that nothing else holds them up.

    Args:
        reader: Reads the store.
        clock: Returns the loop's monotonic time, in seconds.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "gateway-keys", leave_to_main_thread)
        self._began = -NEVER
        self._reading: asyncio.Task[None] | None = None
        self._keys = Keys((), b"")
        self._troubled = False
        self.ever = False

    async def open(self) -> None:
        """Open the store, which stays open from now on.

        Raises:
            StartError: It cannot be read.
        """
        began = self._clock()
        self._take(await in_thread(self._reader.changed, executor=self._thread), began)

    async def current(self) -> Keys:
        """Return the keys as they were at most ``POLL_SECONDS`` ago, or later.

        Raises:
            LocalRefusal: They cannot be read.
        """
        since = self._clock() - POLL_SECONDS
        while self._began <= since:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_task(self._read(), name="read keys")
            await asyncio.shield(self._reading)  # a client that leaves ends nobody else's reading
            if self._troubled:
                raise LocalRefusal("The keys cannot be read now.", code="keys_unreadable")
        return self._keys

    async def aclose(self) -> None:
        """Wait for a reading that is under way, and close the store."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await in_thread(self._reader.close, executor=self._thread)
        self._thread.shutdown()

    async def _read(self) -> None:
        began = self._clock()
        try:
            records = await in_thread(self._reader.changed, executor=self._thread)
        except LocalAgentError as error:
            self._tell(error)
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

    def _tell(self, error: LocalAgentError) -> None:
        if not self._troubled:
            self._troubled = True
            log.error("%s", error)
