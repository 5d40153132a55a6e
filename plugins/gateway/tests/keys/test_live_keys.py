"""The keys in a worker's memory: never older than half a second, no matter who leaves, whatever fails."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from localagent.errors import LocalRefusal, StartError
from localagent.timing import in_thread
from localagent_gateway.keys.key import KeyRecord, digest
from localagent_gateway.keys.live_keys import POLL_SECONDS, KeyReader, Keys, KeyTable
from localagent_gateway.keys.store import KeyStore
from localagent_testing import ManualClock

PEPPER = b"p" * 32
KEY = "la-abcdefghij-" + "k" * 43


def record(**changes: object) -> KeyRecord:
    fields: dict[str, object] = {
        "id": "abcdefghij", "digest": digest(PEPPER, KEY), "name": "n", "tenant": "t", "models": None, "limits": {},
        "created": 0.0,
    }  # fmt: skip
    return KeyRecord(**(fields | changes))  # type: ignore[arg-type]


class ScriptedReader:
    """Answers what it is told to, once it may."""

    pepper = PEPPER
    kept = True

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.reads = 0
        self.closed = False
        self.may = threading.Event()
        self.may.set()
        self.begun = threading.Semaphore(0)
        self.at_once = self.at_once_at_most = 0

    def changed(self) -> list[KeyRecord] | None:
        self.at_once += 1
        self.at_once_at_most = max(self.at_once, self.at_once_at_most)
        self.begun.release()
        assert self.may.wait(60)
        self.reads += 1
        self.at_once -= 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    def close(self) -> None:
        self.closed = True


class TestKeys:
    """Which key is good."""

    def test_the_right_key_finds_its_principal(self) -> None:
        """Tenant, models and limits are those of the record."""
        found = Keys([record(models=frozenset({"fast"}), limits={"rpm": 3})], PEPPER).find(KEY, 0.0)
        assert found is not None
        assert (found.tenant, found.models, found.limits) == ("t", frozenset({"fast"}), {"rpm": 3})

    @pytest.mark.parametrize(
        "key",
        ["", "la-", KEY[:-1], KEY + "k", KEY[:-1] + "x", "la-zzzzzzzzzz-" + "k" * 43, "LA" + KEY[2:], "sk-other",
         "la-abcdefghij", "\udcff" * 60, "k\u00e4se" * 20],
    )  # fmt: skip
    def test_any_other_text_finds_nobody(self, key: str) -> None:
        """Also a right id with a wrong rest, and bytes that are not text."""
        assert Keys([record()], PEPPER).find(key, 0.0) is None

    def test_an_expired_or_revoked_key_finds_nobody(self) -> None:
        """A key is good up to its end and no longer."""
        keys = Keys([record(expires=10.0)], PEPPER)
        assert keys.find(KEY, 9.9) is not None
        assert keys.find(KEY, 10.0) is None
        assert Keys([record(revoked=5.0)], PEPPER).find(KEY, 6.0) is None

    def test_an_unknown_id_is_compared_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every look-up makes one HMAC and one comparison in constant time, on bytes of the same length."""
        compared: list[tuple[bytes, bytes]] = []
        monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
        keys = Keys([record()], PEPPER)
        for key in (KEY, KEY[:-1] + "x", "la-zzzzzzzzzz-" + "k" * 43, "other"):
            keys.find(key, 0.0)
        assert len(compared) == 4
        assert {(type(one), len(one)) for pair in compared for one in pair} == {(bytes, 32)}


async def test_between_two_polls_only_memory_is_asked() -> None:
    """However many ask within half a second, the store is read once."""
    clock, reader = ManualClock(), ScriptedReader([record()])
    table = KeyTable(reader, clock)
    for _ in range(100):
        assert (await table.current()).find(KEY, 0.0)
    assert reader.reads == 1
    clock.advance(POLL_SECONDS)
    await table.current()
    assert reader.reads == 2
    await table.aclose()
    assert reader.closed


async def test_a_revocation_is_known_to_every_worker_within_a_second(tmp_path: Path) -> None:
    """Three workers on one store: half a second after it was revoked, the key lets nobody in anywhere."""
    clock = ManualClock()
    store = KeyStore(tmp_path, lambda: 0.0)
    _, key = store.create("laptop")
    workers = [KeyTable(KeyReader(tmp_path), clock) for _ in range(3)]
    for worker in workers:
        assert (await worker.current()).find(key.reveal(), 0.0) is not None
    store.revoke("laptop")
    clock.advance(POLL_SECONDS)
    assert POLL_SECONDS < 1.0
    for worker in workers:
        assert (await worker.current()).find(key.reveal(), 0.0) is None
        assert worker.ever
        await worker.aclose()


async def test_a_new_key_is_known_to_a_running_worker(tmp_path: Path) -> None:
    """Also the first one, for which there was no store when the worker began."""
    clock = ManualClock()
    table = KeyTable(KeyReader(tmp_path), clock)
    await table.current()
    assert not table.ever
    _, key = KeyStore(tmp_path, lambda: 0.0).create()
    clock.advance(POLL_SECONDS)
    assert (await table.current()).find(key.reveal(), 0.0) is not None
    assert table.ever
    await table.aclose()


async def test_a_store_that_is_gone_does_not_open_the_gateway() -> None:
    """Once there were keys, their disappearance lets nobody in."""
    clock, reader = ManualClock(), ScriptedReader([record()], [])
    table = KeyTable(reader, clock)
    await table.current()
    clock.advance(POLL_SECONDS)
    assert (await table.current()).find(KEY, 0.0) is None
    assert table.ever
    await table.aclose()


async def test_a_store_that_cannot_be_read_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    """Everybody is refused for now, the log says why once, and when it can be read again all is well."""
    clock = ManualClock()
    reader = ScriptedReader([record()], StartError("The store is damaged."), StartError("The store is damaged."), None)
    table = KeyTable(reader, clock)
    await table.current()
    clock.advance(POLL_SECONDS)
    for _ in range(2):
        with pytest.raises(LocalRefusal, match="cannot be read"):
            await table.current()
    assert [one.message for one in caplog.records if one.name == "localagent.gateway"] == ["The store is damaged."]
    assert (await table.current()).find(KEY, 0.0) is not None
    await table.aclose()


async def test_who_leaves_ends_nobody_elses_reading() -> None:
    """The first to ask is cancelled while the store is read; the others get their answer from the same reading."""
    clock, reader = ManualClock(), ScriptedReader([record()])
    reader.may.clear()
    table = KeyTable(reader, clock)
    leaving, staying = [asyncio.create_task(table.current()) for _ in range(2)]
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    reader.may.set()
    assert (await staying).find(KEY, 0.0) is not None
    assert reader.reads == 1
    await table.aclose()


async def until_begun(reader: ScriptedReader) -> None:
    """Wait until one more reading has begun."""
    assert await asyncio.to_thread(reader.begun.acquire, timeout=60)


async def test_who_waits_for_a_slow_reading_is_answered_by_it() -> None:
    """It takes longer than its result is good for, and is used anyway, by everybody who waited, once."""
    clock, reader = ManualClock(), ScriptedReader([record()])
    reader.may.clear()
    table = KeyTable(reader, clock)
    asking = [asyncio.create_task(table.current()) for _ in range(50)]
    await until_begun(reader)
    clock.advance(4.0)
    reader.may.set()
    assert all(keys.find(KEY, 0.0) for keys in await asyncio.gather(*asking))
    assert reader.reads == 1
    await table.aclose()


async def test_who_comes_late_is_answered_by_the_next_reading() -> None:
    """A reading that began more than half a second before a request came may lack a revocation; the next one has it."""
    clock, reader = ManualClock(), ScriptedReader([record()], [record(revoked=1.0)])
    reader.may.clear()
    table = KeyTable(reader, clock)
    early = asyncio.create_task(table.current())
    await until_begun(reader)
    clock.advance(POLL_SECONDS)
    late = [asyncio.create_task(table.current()) for _ in range(50)]
    await asyncio.sleep(0)
    clock.advance(4.0)
    reader.may.set()
    assert (await early).find(KEY, 0.0) is not None
    assert [keys.find(KEY, 0.0) for keys in await asyncio.gather(*late)] == [None] * 50
    assert (reader.reads, reader.at_once_at_most) == (2, 1)
    await table.aclose()


async def test_however_slow_the_store_is_everybody_is_answered() -> None:
    """Each reading takes four seconds; who asks waits for two of them at most."""
    clock = ManualClock()

    class Slow(ScriptedReader):
        def changed(self) -> list[KeyRecord] | None:
            clock.advance(4.0)
            return super().changed()

    reader = Slow([record()])
    table = KeyTable(reader, clock)
    for asked in range(1, 6):
        before = reader.reads
        answers = await asyncio.wait_for(asyncio.gather(*(table.current() for _ in range(20))), 60.0)
        assert all(keys.find(KEY, 0.0) for keys in answers)
        assert reader.reads - before <= 2, asked
    assert reader.at_once_at_most == 1
    await table.aclose()


async def test_a_reading_waits_for_no_other_work() -> None:
    """Neither for names that are being resolved, nor for whatever else has filled the threads that others share."""
    clock, reader, may = ManualClock(), ScriptedReader([record()]), threading.Event()
    table = KeyTable(reader, clock)
    loop = asyncio.get_running_loop()
    others = [loop.run_in_executor(None, may.wait, 60) for _ in range(40)]
    others += [asyncio.ensure_future(in_thread(may.wait, 60)) for _ in range(40)]
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(table.current(), 30.0)).find(KEY, 0.0) is not None
    may.set()
    await asyncio.gather(*others)
    await table.aclose()


async def test_a_reading_that_hangs_holds_up_no_other_work() -> None:
    """The thread is its own."""
    clock, reader = ManualClock(), ScriptedReader([record()])
    reader.may.clear()
    table = KeyTable(reader, clock)
    waiting = asyncio.create_task(table.current())
    await until_begun(reader)
    assert await asyncio.wait_for(in_thread(lambda: "done"), 30.0) == "done"
    assert not waiting.done()
    reader.may.set()
    await waiting
    await table.aclose()
