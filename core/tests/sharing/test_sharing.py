"""What may share an answer: never two requests that differ, never two tenants, whatever happens and however often."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from typing import Any

import pytest

from localagent import Attempt, CacheEntry, CacheKey, CachePolicy, Client, LocalAgentError, Metric, Plugin
from localagent.errors import Overloaded
from localagent.plugin_api.kinds import hookimpl
from localagent.plugin_api.plugin import PluginSource
from localagent.records import cache_keys
from localagent.records.caching import IGNORED
from localagent.records.instances import Instance, Target
from localagent.records.requests import ChatRequest
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.contracts.base import often

pytestmark = pytest.mark.virtual

SEED = int(os.environ.get("LOCALAGENT_SEED", "20260724"))
SHARED = {"temperature": 0}
TARGET = Target(Instance("one", "fake", "fake", "http://one.invalid"), "m")


class Cache(Plugin):
    """A dictionary that writes down what it was asked and told."""

    def __init__(self, name: str = "cache-dict") -> None:
        super().__init__()
        self.name = name
        self.entries: dict[CacheKey, CacheEntry] = {}
        self.reported: list[CacheEntry] = []
        self.asked: list[tuple[CacheKey, ...]] = []

    @hookimpl
    async def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        self.asked.append(keys)
        return next((entry for key in keys if (entry := self.entries.get(key))), None)

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        self.reported.append(entry)
        self.entries[entry.key] = entry


class Observer(Plugin):
    """Writes metrics down."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)


def client_with(*plugins: PluginSource, **settings: Any) -> Client:
    return Client({"health": {"enabled": False}, **settings}, plugins=plugins, environment={}, seed=1)


async def chat(client: Client, text: str = "Hello.", **more: Any) -> Any:
    """Ask, and wait until the answer is stored."""
    response = await client.chat(text, **{**SHARED, **more})
    await asyncio.sleep(1.0)
    return response


# Keys -----------------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [None, True, False, 0, 1, 2, 0.0, -0.0, 1.0, "", "1", "a", [], {}, [1], ["1"], {"a": 1}, {"b": 1}]
FIELDS = ["messages", "temperature", "seed", "tools", "n", "vendor", "top_p", "\u00e9", *sorted(IGNORED)]


def document_of(chance: random.Random) -> dict[str, Any]:
    """A request of a few fields, known and unknown, in any order, one or two levels deep."""
    document = {chance.choice(FIELDS): chance.choice(VALUES) for _ in range(chance.randrange(1, 5))}
    if chance.random() < 0.3:
        document[chance.choice(FIELDS)] = [{chance.choice(FIELDS): chance.choice(VALUES)}, chance.choice(VALUES)]
    return document


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(often(1, 4)))
async def test_a_key_stands_for_one_request_of_one_tenant(part: int) -> None:
    """Among all that were ever made: the same key means the same fields outside the deny-list, and the same tenant."""
    print(f"LOCALAGENT_SEED={SEED}")
    chance = random.Random(SEED + part)
    stands_for: dict[bytes, str] = {}
    checks: dict[bytes, str] = {}
    for _ in range(often(20_000, 250_000)):
        document, tenant, sample = (
            document_of(chance),
            chance.choice(["", "a", "b", "ab"]),
            chance.choice([0, 0, 1, 11]),
        )
        (key,) = cache_keys(ChatRequest(document), [TARGET], tenant, sample=sample)
        fields = json.dumps({name: document[name] for name in document if name not in IGNORED}, sort_keys=True)
        asked = json.dumps([fields, tenant, sample])
        assert stands_for.setdefault(key.digest, asked) == asked
        assert checks.setdefault(key.check, fields) == fields
    assert len(set(stands_for.values())) == len(stands_for)  # and the same request has one key


# Tenants --------------------------------------------------------------------------------------------------------------

TENANTS = ("", "a", "b", "ab")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(often(1, 20)))
async def test_tenants_share_no_entry_no_flight_and_no_figure(part: int) -> None:
    """Answers and streams of a few prompts, many at the same time, with failures and leavers."""
    print(f"LOCALAGENT_SEED={SEED}")
    for batch in range(often(2, 25)):
        await _one_batch(random.Random(f"{SEED} {part} {batch}"), 2_000)


async def _one_batch(chance: random.Random, operations: int) -> None:
    def reply(attempt: Attempt) -> Reply:
        call = attempt.call
        if chance.random() < 0.1:
            return Reply(error=Overloaded("busy"), after=chance.random())
        said = f"<{call.principal.tenant}|{call.request.document['messages'][0]['content']}>"
        return Reply(said, pieces=(said[:2], 0.3, said[2:]) if call.stream else (), after=chance.random())

    async def user(client: Client) -> None:
        await asyncio.sleep(chance.uniform(0, operations / 100))
        tenant, prompt = chance.choice(TENANTS), chance.choice("pqrs")
        kept = chance.choice([True, True, True, False, CachePolicy(store=False), CachePolicy(max_age=1.0)])
        asks = {"tenant": tenant, "cache": kept, "seed": chance.choice([1, 2])}
        try:
            async with asyncio.timeout(chance.choice([0.2, 0.7, 99.0])):
                if chance.random() < 0.5:
                    text = (await client.chat(prompt, **asks)).text
                else:
                    async with client.stream(prompt, **asks) as stream:
                        text = await stream.text()
        except (TimeoutError, LocalAgentError):
            return
        assert text == f"<{tenant}|{prompt}>"

    fake, known = fake_provider_plugin(reply), Cache()
    observer = Observer()
    async with client_with(fake, known, observer) as client:
        await asyncio.gather(*(user(client) for _ in range(operations)))
        await asyncio.sleep(10.0)
    for key, entry in known.entries.items():
        assert entry.response.text.startswith(f"<{key.tenant}|")  # type: ignore[union-attr]
    sent = Counter(asked.attempt.call.principal.tenant for asked in fake.asked)
    reported: Counter[str] = Counter()
    for metric in observer.metrics:
        reported[metric.tenant] += metric.attempts
    assert reported == sent
    assert len(observer.metrics) == operations
    assert sum(metric.coalesced for metric in observer.metrics) > 0


# Aliases --------------------------------------------------------------------------------------------------------------


async def test_three_targets_of_an_alias_are_looked_up_in_order() -> None:
    """Not more; an answer of the fourth is kept anyway, for who asks for that model."""
    names = ("m1", "m2", "m3", "m4", "m5")
    fake, known = fake_provider_plugin(Reply("ok"), models=names), Cache()
    targets = [f"fake/{name}" for name in names]
    async with client_with(fake, known, models={"fast": targets}) as client:
        runtime = await client.runtime()
        for target in targets[:3]:
            await chat(client, model=target)
        known.asked.clear()
        known.entries = {key: entry for key, entry in known.entries.items() if key.model in targets[1:3]}
        hit = await chat(client, model="fast")
        assert [[key.model for key in keys] for keys in known.asked] == [targets[:3]]
        assert (hit.model, hit.cached) == ("fake/m2", "cache-dict")
        assert runtime.engine.flights is not None


async def test_an_answer_is_kept_for_the_target_that_gave_it() -> None:
    """Also for one that is not looked up."""
    names = ("m1", "m2", "m3", "m4")
    fake, known = fake_provider_plugin(Reply("ok"), models=names), Cache()

    class Last(Plugin):
        name = "select-last"

        @hookimpl
        def select_instance(self, candidates: tuple[Target, ...]) -> tuple[Target, ...]:
            return candidates[-1:]

    async with client_with(fake, known, Last, models={"fast": [f"fake/{name}" for name in names]}) as client:
        await chat(client, model="fast")
        assert [key.model for key in known.entries] == ["fake/m4"]
        assert (await chat(client, model="fake/m4")).cached == "cache-dict"
        assert (await chat(client, model="fast")).cached == ""


# Several caches -------------------------------------------------------------------------------------------------------


async def test_a_hit_is_told_to_the_caches_that_were_asked_before() -> None:
    """Neither to the one that had it, nor to those behind it."""
    caches = [Cache(name) for name in ("cache-a", "cache-b", "cache-c")]
    fake = fake_provider_plugin(Reply("ok"))
    async with client_with(fake, *caches) as client:
        await chat(client)
        for one in caches:
            one.reported.clear()
        for empty in (0, 2):
            caches[empty].entries.clear()
        assert (await chat(client)).cached == "cache-b"
        assert [[entry.source for entry in one.reported] for one in caches] == [["cache-b"], [], []]
        assert (await chat(client)).cached == "cache-a"
        assert [len(one.reported) for one in caches] == [1, 0, 0]
        await chat(client, cache=CachePolicy(store=False))


async def test_a_hit_says_how_old_it_is() -> None:
    """In the answer, in the stream's handle, and in the call's facts; a fresh answer has no age."""
    ages: list[Any] = []

    class Watches(Plugin):
        name = "metrics-ages"

        @hookimpl
        def record_metric(self, call: Any) -> None:
            ages.append(call.facts.get("age"))

    known = Cache()
    async with client_with(fake_provider_plugin(Reply("ok")), known, Watches) as client:
        assert (await chat(client)).age is None
        (key, entry), *_ = known.entries.items()
        known.entries[key] = type(entry)(key, entry.response, entry.events, entry.stored - 60.0)
        assert (await chat(client)).age == pytest.approx(60.0, abs=5.0)
        async with client.stream("Hello.", **SHARED) as stream:
            assert stream.age == pytest.approx(60.0, abs=5.0)
    assert ages == [None, pytest.approx(60.0, abs=5.0), pytest.approx(60.0, abs=5.0)]


# Samples --------------------------------------------------------------------------------------------------------------


def numbered() -> type[Any]:
    """A server that never says the same twice."""
    return fake_provider_plugin([Reply(str(number)) for number in range(100)])


async def test_several_answers_to_one_request_are_kept() -> None:
    """So many as the setting says are asked for; from then on one of them answers."""
    fake = numbered()
    async with client_with(fake, Cache(), sharing={"policy": "all", "samples": 3}) as client:
        reported = [(await chat(client, temperature=1)).text for _ in range(60)]
    assert len(fake.asked) == 3
    assert set(reported) == {"0", "1", "2"}
    assert min(Counter(reported).values()) > 5


async def test_a_call_may_name_its_sample() -> None:
    """The same sample is the same answer, at the same time as well; another one is another."""
    fake = numbered()
    async with client_with(fake, Cache(), sharing={"policy": "all"}) as client:
        named = [CachePolicy(sample=number) for number in (1, 2, 1, 2)]
        reported = await asyncio.gather(*(client.chat("Hello.", cache=one) for one in named))
        assert reported[0].text == reported[2].text != reported[1].text == reported[3].text
        await asyncio.sleep(1.0)
        assert (await client.chat("Hello.")).text == "2"
    assert len(fake.asked) == 3


async def test_a_deterministic_request_has_one_answer() -> None:
    """Several of them would be the same."""
    fake = numbered()
    async with client_with(fake, Cache(), sharing={"policy": "all", "samples": 5}) as client:
        assert {(await chat(client)).text for _ in range(10)} == {"0"}
