"""The time of a call, explained: steps, attempts, waiting and the core add up to the total."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localagent import Attempt, CacheEntry, Call, Client, Plugin, Receipt, Retry, hookimpl
from localagent.errors import Overloaded
from localagent.records import AttemptRecord, Span
from localagent.records.receipt_lines import StepRecord
from localagent_testing import Reply, fake_provider_plugin


class Slow(Plugin):
    """Takes a second in every place: before, inside and after an attempt."""

    name = "request-slow"

    @hookimpl
    async def pre_request(self, call: Call) -> None:
        await asyncio.sleep(1)

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> None:
        await asyncio.sleep(2)

    @hookimpl
    async def on_failure(self, attempt: Attempt) -> Retry:
        await asyncio.sleep(3)
        return Retry("same", after=5.0)


class Shelf(Plugin):
    """Keeps one answer."""

    name = "cache-shelf"
    kept: CacheEntry | None = None

    @hookimpl
    async def cache_lookup(self) -> CacheEntry | None:
        await asyncio.sleep(0)
        return self.kept

    @hookimpl
    def cache_store(self, entry: CacheEntry) -> None:
        self.kept = entry


def client(*plugins: Any, said: Any = None) -> Client:
    return Client({"default_model": "fake/m"}, plugins=[fake_provider_plugin(said or Reply()), *plugins])


def explained(receipt: Receipt) -> float:
    return sum(span.microseconds for span in receipt.timeline)


def assert_explained(receipt: Receipt) -> None:
    """The sum is the total, within 5 % or 20 us; no span is negative; every step is there once."""
    total = receipt.milliseconds * 1000
    assert abs(explained(receipt) - total) <= max(0.05 * total, 20.0)
    assert [span for span in receipt.timeline if span.microseconds < 0] == []
    shown = [(span.name, span.plugin) for span in receipt.timeline if span.plugin]
    assert sorted(shown) == sorted((step.hook, step.plugin) for step in receipt.steps if step.at < total)


async def test_calls_are_explained() -> None:
    """Whole answers, hits, streams, and streams from a cache, on the real clock."""
    async with client(Shelf) as opened:
        for _ in range(20):
            response = await opened.chat("Hello.", temperature=0, receipt=True)
            assert_explained(response.receipt)
        assert response.cached == "cache-shelf"
        async with opened.stream("Hello.", receipt=True) as stream:
            assert [chunk.text async for chunk in stream]
        assert stream.receipt is not None
        assert_explained(stream.receipt)


@pytest.mark.virtual
async def test_each_cause_has_its_time() -> None:
    """Steps inside an attempt are not counted twice, and waiting before a retry is waiting."""
    said = [Reply(error=Overloaded("busy"), after=10.0), Reply(after=10.0)]
    async with client(Slow, said=said) as opened:
        response = await opened.chat("Hello.", receipt=True, timeout=600)
    assert_explained(response.receipt)
    spans = [(span.name, round(span.microseconds / 1e6)) for span in response.receipt.timeline]
    assert [span for span in spans if span[1]] == [
        ("pre_request", 1), ("attempt-1", 10), ("rate_check", 2), ("on_failure", 3), ("wait", 5), ("attempt-2", 10),
        ("rate_check", 2),
    ]  # fmt: skip


@pytest.mark.virtual
async def test_a_shared_answer_is_explained() -> None:
    """An attempt that began before this call counts from the start of the call."""
    async with client(Shelf, said=[Reply(after=4.0)]) as opened:
        first = asyncio.create_task(opened.chat("Hello.", temperature=0, receipt=True))
        await asyncio.sleep(3)
        second = await opened.chat("Hello.", temperature=0, receipt=True)
        assert_explained((await first).receipt)
    assert_explained(second.receipt)


def test_gaps_belong_to_the_core() -> None:
    """What is before, between and after the measured parts; a gap after on_failure is waiting."""
    receipt = Receipt(
        call="la-1",
        steps=(StepRecord("pre_request", "a", "-", 10.0, 5.0), StepRecord("rate_check", "b", "-", 30.0, 120.0)),
        attempts=(AttemptRecord(1, "t", "ok", "", 0.5, None, 0.1),),
        milliseconds=0.7,
        cached="",
    )
    assert receipt.timeline == (
        Span("core", "", 5.0), Span("pre_request", "a", 10.0), Span("core", "", 85.0), Span("attempt-1", "", 470.0),
        Span("rate_check", "b", 30.0), Span("core", "", pytest.approx(100.0)),
    )  # fmt: skip
