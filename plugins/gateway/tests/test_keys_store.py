"""Keys are made, listed and revoked in a file that tells nobody what they are."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localagent import StartError
from localagent_gateway.keys.form import public_id
from localagent_gateway.keys.pepper import made_pepper, read_pepper
from localagent_gateway.keys.reader import KeyReader
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
    """Half a pepper is none."""
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
    """Nobody shares caches by accident: the tenant is the name, or the id where there is none."""
    named, _ = store.create("laptop")
    nameless, _ = store.create()
    assert named.tenant == "laptop"
    assert nameless.tenant == nameless.name == nameless.id


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
    with pytest.raises(StartError, match="no key named laptop"):
        store.revoke("laptop")
    _, key = store.create("laptop")
    store.revoke("laptop")
    with pytest.raises(StartError, match="was revoked before"):
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
