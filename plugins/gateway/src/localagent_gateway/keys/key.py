"""A key: its format, the record that is stored of it, and the pepper for its digest.

A key is ``la-``, its public id of ten characters, a hyphen, and 256 random bits from the system's generator. A fast
hash is enough for them: a secret with at least 112 random bits needs no slow one (NIST SP 800-63B, section 5.1.2.2).

The pepper is a secret in a file next to the store. Without it, the digests in the store reveal nothing about the keys.
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
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # no 0 and 1: people also read ids aloud
_ID = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)
PEPPER_FILE = "pepper"
PEPPER_LENGTH = 32


def new_key() -> tuple[str, Secret]:
    """Return the public id of a new key and the key itself."""
    id = "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))
    return id, Secret(f"{PREFIX}{id}-{secrets.token_urlsafe(32)}")


def public_id(key: str) -> str:
    """Return the public id of a key; for any other text, a string that is not the id of a key."""
    return key[_ID] if key.startswith(PREFIX) else ""


def digest(pepper: bytes, key: str) -> bytes:
    """Return the digest that is stored of a key: its HMAC-SHA256 with the pepper, 32 bytes."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogateescape"), "sha256")


State = Literal["active", "expired", "revoked"]


@attrs.frozen
class KeyRecord:
    """The stored record of a key.

    Attributes:
        id: Its public part, which identifies it in lists.
        digest: HMAC-SHA256 of the whole key with the pepper.
        name: Its name.
        tenant: The tenant whose caches, limits and figures its calls share; by default its id.
        models: The models that it may use; None means all.
        limits: Numbers by name, for limit plugins.
        created: When it was created, in seconds since the epoch.
        expires: When it expires, in seconds since the epoch; None for never.
        revoked: When it was revoked, in seconds since the epoch; None if it was not.
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
        """Return the state of the key at ``now``, in seconds since the epoch."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    @property
    def principal(self) -> Principal:
        """The caller that it identifies."""
        return Principal(tenant=self.tenant, models=self.models, limits=dict(self.limits), key=self.id)


def separated(records: Iterable[KeyRecord]) -> list[KeyRecord]:
    """Return keys with separate tenants where two keys share a tenant only because of their name.

    The first version used a key's name as its tenant, so a new key with the name of a revoked one got the answers that
    caches had stored for the old key.

    Args:
        records: Keys of the first version, in the order of their creation.
    """
    taken: set[str] = set()
    found = []
    for record in records:
        again = record.tenant == record.name and record.name in taken
        found.append(attrs.evolve(record, tenant=record.id) if again else record)
        taken.add(record.name)
    return found


def revoked_in(records: Iterable[KeyRecord], revocations: Mapping[str, float]) -> list[KeyRecord]:
    """Return keys with further revocations applied: by id, in seconds since the epoch."""
    return [
        attrs.evolve(record, revoked=revocations[record.id])
        if record.revoked is None and record.id in revocations
        else record
        for record in records
    ]


def read_pepper(folder: Path) -> bytes:
    """Return the pepper.

    Raises:
        StartError: It is missing or damaged, or other users can read it.
    """
    path = folder / PEPPER_FILE
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pepper = file.read(PEPPER_LENGTH + 1)
    except FileNotFoundError:
        raise StartError(f"{path} is missing, so no key can be checked.",
                         hint=f"Restore it, or delete {folder / 'keys.db'} and create new keys.") from None  # fmt: skip
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.", hint="Make it readable for this user.") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StartError(f"{path} can be read by other users.", hint=f"Run: chmod 600 {path}")
    if len(pepper) != PEPPER_LENGTH:
        raise StartError(f"{path} does not contain {PEPPER_LENGTH} bytes.", hint="Restore it.")
    return pepper


def pepper_identity(folder: Path) -> tuple[int, ...] | None:
    """Return a value that differs between pepper files and changes with the file; None if there is no file."""
    try:
        found = (folder / PEPPER_FILE).stat()
    except OSError:  # reading it reports the reason
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def pepper_digest(pepper: bytes) -> bytes:
    """Return a digest that shows whether a store was created with this pepper, and reveals nothing else."""
    return hmac.digest(pepper, b"localagent gateway pepper", "sha256")


def check_pepper(folder: Path, pepper: bytes, known: bytes | None) -> None:
    """Check that a store was created with this pepper.

    Args:
        folder: The folder of both.
        pepper: The pepper.
        known: The digest of its pepper in the store; None if it was not stored.

    Raises:
        StartError: The store was created with another pepper.
    """
    if known is not None and not hmac.compare_digest(known, pepper_digest(pepper)):
        path, store = folder / PEPPER_FILE, folder / "keys.db"
        raise StartError(f"{path} does not belong to {store}, so no key can be checked.",
                         hint=f"Restore the right one, or delete {store} and create new keys.")  # fmt: skip


def made_pepper(folder: Path) -> bytes:
    """Return the pepper, and create it if it does not exist.

    It is created atomically: no process ever reads half of it, and two processes that create one at the same time use
    the same.

    Raises:
        StartError: It cannot be created; see also ``read_pepper``.
    """
    path = folder / PEPPER_FILE
    if not path.exists():
        try:
            _make_pepper(path)
        except OSError as error:
            raise StartError(f"{path} cannot be created: {error.strerror}.",
                             hint="Free some space, or set state_folder in the settings.") from None  # fmt: skip
    return read_pepper(folder)


def _make_pepper(path: Path) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=PEPPER_FILE)  # its mode is always 0600
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
