"""Keys are made, listed and revoked in a file that tells nobody what they are."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from localagent.errors import StartError
from localagent_gateway.keys import database
from localagent_gateway.keys.key import made_pepper, public_id, read_pepper
from localagent_gateway.keys.live_keys import KeyReader
from localagent_gateway.keys.revocations import SLOTS, Revocations
from localagent_gateway.keys.store import KeyStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gateway"


@pytest.fixture
def store(folder: Path) -> KeyStore:
    return KeyStore(folder, lambda: 1000.0)


def test_a_key_has_256_random_bits_behind_its_public_id(store: KeyStore) -> None:
    """``la-``, ten characters that name it, and 43 characters of base64: 32 bytes; no two are alike."""
    made = [store.create() for _ in range(20)]
    for record, key in made:
        assert re.fullmatch(rf"la-{record.id}-[A-Za-z0-9_-]{{43}}", key.reveal())
        assert public_id(key.reveal()) == record.id
    assert len({key.reveal()[14:] for _, key in made}) == 20


def test_the_store_holds_an_hmac_and_never_the_key(store: KeyStore, folder: Path) -> None:
    """What is kept is HMAC-SHA256 under the pepper; the random part is in no file of the folder."""
    record, key = store.create("laptop")
    pepper = (folder / "pepper").read_bytes()
    assert record.digest == hmac.new(pepper, key.reveal().encode(), hashlib.sha256).digest()
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {"keys.db", "pepper"} <= {path.name for path in files}
    assert not any(key.reveal()[14:].encode() in path.read_bytes() for path in files)
    assert key.reveal()[14:] not in repr(record)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_only_the_user_can_read_pepper_and_store(store: KeyStore, folder: Path) -> None:
    """Both files have mode 0600 and their folder 0700; a pepper that others can read is refused."""
    store.create()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes["keys.db"] == modes["pepper"] == 0o600
    assert modes["gateway"] == 0o700
    (folder / "pepper").chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        store.create()


def test_the_pepper_is_made_once_by_however_many(folder: Path) -> None:
    """Eight who make it at the same time all get the same 32 bytes."""
    folder.mkdir()
    with ThreadPoolExecutor(8) as pool:
        peppers = set(pool.map(lambda _: made_pepper(folder), range(8)))
    assert len(peppers) == 1
    assert len(peppers.pop()) == 32
    assert [path.name for path in folder.iterdir()] == ["pepper"]


def test_a_lost_pepper_is_not_replaced_while_keys_need_it(store: KeyStore, folder: Path) -> None:
    """A new one would make every key wrong without a word."""
    store.create()
    (folder / "pepper").unlink()
    with pytest.raises(StartError, match="is missing"):
        store.create()


def test_a_damaged_pepper_is_refused(folder: Path) -> None:
    """Half a pepper is not a pepper."""
    folder.mkdir()
    path = folder / "pepper"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(StartError, match="32 bytes"):
        read_pepper(folder)


def test_a_key_keeps_what_it_was_given(store: KeyStore) -> None:
    """Name, tenant, models, limits and end come back as they were."""
    made, _ = store.create("ci", tenant="team", models=["fast", "a/b"], limits={"requests_per_minute": 60}, expires=9e9)
    (found,) = store.records()
    assert found == made
    assert (found.name, found.tenant, found.models) == ("ci", "team", frozenset({"fast", "a/b"}))
    assert (found.limits, found.created, found.expires) == ({"requests_per_minute": 60}, 1000.0, 9e9)
    assert found.principal.tenant == "team"


def test_a_key_is_a_tenant_of_its_own_unless_told_otherwise(store: KeyStore) -> None:
    """Nobody shares caches by accident, not by a name either: the tenant is the id, unless one was named."""
    named, _ = store.create("laptop")
    nameless, _ = store.create()
    reported, _ = store.create("desk", tenant="laptop")
    assert (named.tenant, nameless.tenant, reported.tenant) == (named.id, nameless.id, "laptop")


def test_a_key_that_takes_the_name_of_a_revoked_one_is_another_tenant(store: KeyStore) -> None:
    """What caches keep for the old holder is not the new one's."""
    old, _ = store.create("laptop")
    store.revoke("laptop")
    new, _ = store.create("laptop")
    assert new.tenant != old.tenant
    assert new.principal.tenant == new.id


FIRST_VERSION = """
CREATE TABLE keys (id TEXT PRIMARY KEY, digest BLOB NOT NULL, name TEXT NOT NULL, tenant TEXT NOT NULL, models TEXT,
    limits TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL) WITHOUT ROWID;
CREATE UNIQUE INDEX keys_in_use ON keys (name) WHERE revoked IS NULL;
PRAGMA user_version = 1;
"""


def first_version(folder: Path, *rows: tuple[str, str, str, float | None]) -> None:
    """Write a store as the first version did; a row is id, name, tenant, and when the key was revoked."""
    made_pepper_in(folder)
    with closing(sqlite3.connect(folder / "keys.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_VERSION)
        for number, (id, name, tenant, revoked) in enumerate(rows):
            connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, NULL, '{}', ?, NULL, ?)",
                               (id, bytes(32), name, tenant, float(number), revoked))  # fmt: skip
    (folder / "keys.db").chmod(0o600)


def made_pepper_in(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    made_pepper(folder)


def test_a_store_of_the_first_version_separates_keys_of_one_name(store: KeyStore, folder: Path) -> None:
    """Who had a name first keeps its tenant, and what was named stays; read at once, written with the next change."""
    first_version(folder, ("aaaaaaaaaa", "laptop", "laptop", 5.0), ("bbbbbbbbbb", "laptop", "laptop", None),
                  ("cccccccccc", "ci", "laptop", None), ("dddddddddd", "ada", "ada", None))  # fmt: skip
    tenants = ["laptop", "bbbbbbbbbb", "laptop", "ada"]
    assert [record.tenant for record in store.records()] == tenants
    with closing(KeyReader(folder)) as reader:
        assert [record.tenant for record in reader.changed() or ()] == tenants
        new, _ = store.create("new")
        assert [record.tenant for record in reader.changed() or ()] == [*tenants, new.id]
    with closing(sqlite3.connect(folder / "keys.db")) as connection:
        written = connection.execute("SELECT tenant FROM keys ORDER BY created").fetchall()
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert [tenant for (tenant,) in written] == [*tenants, new.id]


def test_a_name_is_free_again_when_its_key_was_revoked(store: KeyStore) -> None:
    """Two keys in use never have one name; a key that replaces a revoked one may have it."""
    store.create("laptop")
    with pytest.raises(StartError, match="already"):
        store.create("laptop")
    store.revoke("laptop")
    store.create("laptop")
    assert [record.state(1000.0) for record in store.records()].count("active") == 1


@pytest.mark.parametrize("by", ["name", "id", "key"])
def test_a_key_is_revoked_by_name_by_id_or_by_itself(store: KeyStore, by: str) -> None:
    """Whichever is at hand; it stays in the list."""
    record, key = store.create("laptop")
    revoked = store.revoke({"name": "laptop", "id": record.id, "key": key.reveal()}[by])
    assert revoked.state(1000.0) == "revoked"
    assert store.records() == [revoked]


def test_revoking_what_is_not_there_is_a_sentence(store: KeyStore) -> None:
    """Neither an unknown name nor a revoked key is passed over in silence, and a key is not repeated."""
    with pytest.raises(StartError, match="No key is named laptop"):
        store.revoke("laptop")
    _, key = store.create("laptop")
    store.revoke("laptop")
    with pytest.raises(StartError, match="is already revoked"):
        store.revoke("laptop")
    with pytest.raises(StartError) as caught:
        store.revoke("la-aaaaaaaaaa-" + key.reveal()[14:])
    assert key.reveal()[14:] not in str(caught.value)


def test_no_store_means_no_keys(store: KeyStore, folder: Path) -> None:
    """Asking makes no file."""
    assert store.records() == []
    assert not folder.exists()


def test_a_damaged_store_is_an_error_that_says_so(store: KeyStore, folder: Path) -> None:
    """Never taken for one without keys."""
    folder.mkdir()
    (folder / "keys.db").write_bytes(b"no database " * 500)
    with pytest.raises(StartError, match="damaged"):
        store.records()


def test_a_store_of_a_newer_version_is_left_alone(store: KeyStore, folder: Path) -> None:
    """What it means is not known here."""
    store.create()
    connection = sqlite3.connect(folder / "keys.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StartError, match="newer version"):
        store.create()


class TestFullDisk:
    """A key is revoked also where the database can take nothing."""

    REVOKE = """
import resource, signal, sys
from pathlib import Path
from localagent_gateway.keys.live_keys import KeyReader
from localagent_gateway.keys.store import KeyStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # no file grows beyond a page
reader, store = KeyReader(Path(sys.argv[1])), KeyStore(Path(sys.argv[1]), lambda: 2000.0)
for refused in (reader.changed, store.create):
    try:
        refused()
    except Exception as error:
        print(refused.__name__, type(error).__name__)
print(store.revoke(sys.argv[2]).state(2000.0))
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="the system limits no file's size")
    @pytest.mark.parametrize("serving", [False, True])
    def test_a_process_that_can_write_no_more_revokes_a_key(self, store: KeyStore, folder: Path, serving: bool) -> None:
        """Whether a worker has the store open or not; it sees the revocation, and the next change takes it over."""
        store.create("stays")
        gone, _ = store.create("gone")
        reader = KeyReader(folder)
        if serving:
            reader.changed()
        ended = subprocess.run(
            [sys.executable, "-c", self.REVOKE, str(folder), "gone"], capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        refused = ["create Unusable"] if serving else ["changed Unusable", "create Unusable"]
        assert (ended.stdout.splitlines(), ended.stderr) == ([*refused, "revoked"], "")
        states = {"stays": "active", "gone": "revoked"}
        assert {record.name: record.state(2000.0) for record in reader.changed() or ()} == states
        assert {record.name: record.state(2000.0) for record in store.records()} == states
        with pytest.raises(StartError, match="is already revoked"):
            store.revoke("gone")
        again, _ = store.create("gone")
        assert {record.id: record.revoked for record in reader.changed() or () if record.name == "gone"} == {
            gone.id: 2000.0,
            again.id: None,
        }
        assert Revocations(folder)._path.read_bytes().strip(b"\0") == b""
        reader.close()

    def test_a_store_that_is_being_written_does_not_hold_up_a_revocation(
        self, store: KeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody has begun to change it and does not end."""
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
        record, _ = store.create("a")
        with closing(sqlite3.connect(folder / "keys.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.revoke("a")
            assert [one.revoked for one in store.records()] == [1000.0]
        with closing(Revocations(folder)) as beside:
            assert beside.read() == {record.id: 1000.0}

    def test_where_nothing_can_be_kept_the_command_says_so(
        self, store: KeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key that is not revoked is never said to be."""
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
        store.create("a")
        for number in range(SLOTS):
            Revocations(folder).add("a" * 8 + "abcdefghijklmnop"[number // 16] + "abcdefghijklmnop"[number % 16], 1.0)
        with closing(sqlite3.connect(folder / "keys.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StartError, match="cannot be used"):
                store.revoke("a")
        assert [one.revoked for one in store.records()] == [None]

    def test_damaged_revocations_let_nobody_in(self, store: KeyStore, folder: Path) -> None:
        """They might say about any key that it was revoked."""
        store.create("a")
        (folder / "revocations").write_bytes(b"what?" + bytes(4091))
        with closing(KeyReader(folder)) as reader, pytest.raises(StartError, match="revocations is damaged"):
            reader.changed()


class TestReader:
    """What a worker's thread sees of the store."""

    def test_nothing_is_read_again_until_something_changed(self, store: KeyStore, folder: Path) -> None:
        """None while the store is as it was; all keys when another connection has written."""
        reader = KeyReader(folder)
        assert reader.changed() == []
        record, _ = store.create("a")
        assert reader.changed() == [record]
        assert reader.changed() is None
        revoked = store.revoke("a")
        assert reader.changed() == [revoked]
        reader.close()

    def test_a_store_that_was_replaced_is_read(self, store: KeyStore, folder: Path, tmp_path: Path) -> None:
        """A file restored from elsewhere, and one that was removed, are noticed."""
        store.create("a")
        reader = KeyReader(folder)
        assert len(reader.changed() or ()) == 1
        for path in folder.iterdir():
            path.rename(tmp_path / path.name)
        assert reader.changed() == []
        store.create("b")
        assert [record.name for record in reader.changed() or ()] == ["b"]
        reader.close()

    def test_a_reader_cannot_write(self, store: KeyStore, folder: Path) -> None:
        """A worker has no way to change who is let in."""
        from localagent_gateway.keys.database import opened_to_read

        store.create("a")
        connection = opened_to_read(folder)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM keys")
        connection.close()

    @pytest.mark.parametrize("gone", [("keys.db",), ("keys.db", "keys.db-wal", "keys.db-shm", "revocations")])
    def test_a_store_that_is_missing_is_not_taken_for_none(
        self, store: KeyStore, folder: Path, gone: tuple[str, ...]
    ) -> None:
        """What it leaves behind tells that there were keys; creating one is a way back."""
        store.create("a")
        for name in gone:
            (folder / name).unlink(missing_ok=True)
        with closing(KeyReader(folder)) as reader:
            with pytest.raises(StartError, match="shows that keys were created, so all requests are refused"):
                reader.changed()
            assert reader.kept
            store.create("b")
            assert [record.name for record in reader.changed() or ()] == ["b"]

    def test_a_pepper_that_does_not_belong_to_the_store_is_refused(self, store: KeyStore, folder: Path) -> None:
        """By who reads, and by who creates a key; not by who revokes one."""
        store.create("a")
        (folder / "pepper").write_bytes(bytes(32))
        with closing(KeyReader(folder)) as reader, pytest.raises(StartError, match="does not belong"):
            reader.changed()
        with pytest.raises(StartError, match="does not belong"):
            store.create("b")
        assert store.revoke("a").revoked == 1000.0

    def test_a_store_that_is_being_made_has_no_keys_and_is_one(self, folder: Path) -> None:
        """Its file is there before its table: keys are needed, and there are none yet."""
        folder.mkdir()
        (folder / "keys.db").touch(0o600)
        with closing(KeyReader(folder)) as reader:
            assert reader.changed() == []
            assert reader.kept

    @pytest.mark.skipif(sys.platform == "win32", reason="the system limits no number of descriptors")
    def test_what_is_open_is_read_also_where_nothing_can_be_opened(self, folder: Path) -> None:
        """All descriptors are used up: keys are good, and a revocation is seen."""
        ended = subprocess.run(
            [sys.executable, "-c", EXHAUSTED, str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.stdout, ended.stderr) == ("None\nrevoked\nrevoked\n", "")


EXHAUSTED = """
import os, resource, sys
from pathlib import Path
from localagent_gateway.keys import database
from localagent_gateway.keys.live_keys import KeyReader
from localagent_gateway.keys.revocations import Revocations
from localagent_gateway.keys.store import KeyStore

folder = Path(sys.argv[1])
store = KeyStore(folder, lambda: 1.0)
first, second = store.create("first")[0], store.create("second")[0]
reader, writer, beside = KeyReader(folder), database.opened(folder), open(folder / "revocations", "r+b", buffering=0)
reader.changed()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
print(reader.changed())
writer.execute("UPDATE keys SET revoked = 1.0 WHERE id = ?", (first.id,))
print({one.id: one for one in reader.changed()}[first.id].state(2.0))
beside.write(f"{second.id} 1.000\\n".encode())
print({one.id: one for one in reader.changed()}[second.id].state(2.0))
"""
