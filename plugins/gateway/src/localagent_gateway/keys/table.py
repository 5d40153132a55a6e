"""The keys that are good now, in the memory of one worker, never older than half a second."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from localagent import LocalAgentError, LocalRefusal, Principal
from localagent_gateway.keys.form import digest, public_id
from localagent_gateway.keys.record import KeyRecord

log = logging.getLogger("localagent.gateway")

POLL_SECONDS = 0.5
NEVER = float("inf")


class Reader(Protocol):
    """What the table is filled from; see ``KeyReader``."""

    @property
    def pepper(self) -> bytes:
        """The pepper."""

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
    """The keys, read again in a thread when they are older than ``POLL_SECONDS``.

    Whoever asks then waits for the reading, all for the same one: a key that was revoked so long ago lets nobody in.
    Between readings nothing but memory is touched, and while nobody asks nothing is read.

    Args:
        reader: Reads the store.
        clock: Returns the loop's monotonic time, in seconds.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._until = -NEVER
        self._reading: asyncio.Task[None] | None = None
        self._keys = Keys((), b"")
        self._troubled = False
        self.ever = False

    async def current(self) -> Keys:
        """Return the keys, at most ``POLL_SECONDS`` old.

        Raises:
            LocalRefusal: They cannot be read.
        """
        while self._clock() >= self._until:
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
        self._reader.close()

    async def _read(self) -> None:
        began = self._clock()
        try:
            records = await asyncio.to_thread(self._reader.changed)
        except LocalAgentError as error:
            self._tell(error)
            return
        finally:
            self._reading = None
        self._troubled = False
        if records is not None:
            self._keys = Keys(records, self._reader.pepper)
            self.ever = self.ever or bool(records)
        self._until = began + POLL_SECONDS

    def _tell(self, error: LocalAgentError) -> None:
        if not self._troubled:
            self._troubled = True
            log.error("%s", error)
