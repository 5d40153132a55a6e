"""A key: how it looks, what is known of it when it is gone from sight, and the pepper under which that is kept.

It is ``la-``, ten characters that name it, a hyphen, and 256 random bits. The bits come from the system's generator. A
fast hash is enough for them: what has at least 112 random bits needs no slow one (NIST SP 800-63B, section 5.1.2.2).

The pepper is a secret beside the store, without which what the store holds says nothing about keys.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from localagent import Principal, Secret
from localagent.errors import StartError

PREFIX = "la-"
ID_LENGTH = 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # no 0 and 1: an id is read aloud, too
_ID = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)
PEPPER_FILE = "pepper"
PEPPER_LENGTH = 32


def new_key() -> tuple[str, Secret]:
    """Return the public id of a new key and the key itself."""
    id = "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))
    return id, Secret(f"{PREFIX}{id}-{secrets.token_urlsafe(32)}")


def public_id(key: str) -> str:
    """Return the part of a key by which it is looked up; for other text, something that is the name of no key."""
    return key[_ID] if key.startswith(PREFIX) else ""


def digest(pepper: bytes, key: str) -> bytes:
    """Return what is kept of a key: its HMAC-SHA256 under the pepper, 32 bytes."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogateescape"), "sha256")


State = Literal["active", "expired", "revoked"]


@attrs.frozen
class KeyRecord:
    """One key, as the store knows it.

    Attributes:
        id: Its public part, which names it in lists.
        digest: HMAC-SHA256 of the whole key under the pepper.
        name: What people call it.
        tenant: Whose caches, limits and figures its calls share; its id, unless another was named.
        models: The models that it may use; None means all.
        limits: Numbers by name, for limit plugins.
        created: Seconds since the epoch.
        expires: When it ends; None for never.
        revoked: When it was revoked; None while it was not.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    name: str
    tenant: str
    models: frozenset[str] | None
    limits: Mapping[str, float]
    created: float
    expires: float | None = None
    revoked: float | None = None

    def state(self, now: float) -> State:
        """Return what the key is worth at a time, in seconds since the epoch."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    @property
    def principal(self) -> Principal:
        """Who asks with it."""
        return Principal(tenant=self.tenant, models=self.models, limits=dict(self.limits))


def separated(records: Iterable[KeyRecord]) -> list[KeyRecord]:
    """Return keys of which none has the tenant of an earlier key by nothing but its name.

    The first version took a key's name for its tenant, so that a key that took the name of a revoked one got the
    answers that caches kept for it.

    Args:
        records: Keys that the first version made, in the order in which they were made.
    """
    taken: set[str] = set()
    found = []
    for record in records:
        again = record.tenant == record.name and record.name in taken
        found.append(attrs.evolve(record, tenant=record.id) if again else record)
        taken.add(record.name)
    return found


def revoked_in(records: Iterable[KeyRecord], revocations: Mapping[str, float]) -> list[KeyRecord]:
    """Return keys with the revocations of some of them, by id, in seconds since the epoch."""
    return [
        attrs.evolve(record, revoked=revocations[record.id])
        if record.revoked is None and record.id in revocations
        else record
        for record in records
    ]


def read_pepper(folder: Path) -> bytes:
    """Return the pepper.

    Raises:
        StartError: It is missing, damaged, or can be read by others.
    """
    path = folder / PEPPER_FILE
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pepper = file.read(PEPPER_LENGTH + 1)
    except FileNotFoundError:
        raise StartError(f"{path} is missing; without it no key can be checked.",
                         hint=f"Restore it, or delete {folder / 'keys.db'} and create new keys.") from None  # fmt: skip
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.", hint="Make it readable for this user.") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StartError(f"{path} can be read by other users.", hint=f"Run: chmod 600 {path}")
    if len(pepper) != PEPPER_LENGTH:
        raise StartError(f"{path} does not hold {PEPPER_LENGTH} bytes.", hint="Restore it.")
    return pepper


def pepper_identity(folder: Path) -> tuple[int, ...] | None:
    """Return what tells one pepper's file from another, and from itself after a change; None where there is none."""
    try:
        found = (folder / PEPPER_FILE).stat()
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
        path, store = folder / PEPPER_FILE, folder / "keys.db"
        raise StartError(f"{path} does not belong to {store}, so no key can be checked.",
                         hint=f"Restore the one that does, or delete {store} and create new keys.")  # fmt: skip


def made_pepper(folder: Path) -> bytes:
    """Return the pepper, made if there is none.

    It comes into being whole: nobody ever reads half of it, and of two processes that make one at the same time, both
    use the same.

    Raises:
        StartError: It cannot be made; see also ``read_pepper``.
    """
    path = folder / PEPPER_FILE
    if not path.exists():
        try:
            _make_pepper(path)
        except OSError as error:
            raise StartError(f"{path} cannot be made: {error.strerror}.",
                             hint="Free some space, or set state_folder in the settings.") from None  # fmt: skip
    return read_pepper(folder)


def _make_pepper(path: Path) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=PEPPER_FILE)  # of mode 0600, by its contract
    try:
        with os.fdopen(number, "wb") as file:
            file.write(secrets.token_bytes(PEPPER_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        Path(name).unlink()
