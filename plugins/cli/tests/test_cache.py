"""``cache``: asks every active cache with readable contents, and never shows requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

CACHE = """
    from pathlib import Path

    from localagent import CacheEntry, CacheKey, ChatResponse, Plugin
    from localagent.records import CacheCounts, CacheStats, EntryInfo, EntryFilter

    AGES = {"a": 10.0, "b": 3600.0}

    class Shelf(Plugin):
        def kept(self, which):
            keys = {name: CacheKey(name.encode() * 32, bytes(16), 7, f"wire/{name}", "t" + name) for name in AGES}
            return [(key, AGES[name]) for name, key in keys.items() if which.fits(key, AGES[name])]

        async def cache_stats(self):
            counts = (CacheCounts("wire/a", "ta", hits=3, misses=1, stored=2), CacheCounts("", "", hits=1))
            return CacheStats(2, 3 * 2**20, 10, 2**30, counts, WHERE)

        async def cache_entries(self, which):
            for key, age in self.kept(which):
                yield EntryInfo(key.digest.hex(), key.model, key.tenant, age, 2048, 5)

        async def cache_export(self, which):
            for key, age in self.kept(which):
                response = ChatResponse(raw=b'{"said":\\n "no"}' if key.model == "wire/a" else b"odd")
                yield CacheEntry(key, response, (b"one", b"two"), 99.5)

        async def cache_purge(self, which):
            return len(self.kept(which))
"""
NOT_A_CACHE = "from localagent import Plugin\n\nclass Other(Plugin): ...\n"


@pytest.fixture
def shelf(shell: Any) -> Any:
    """A shell with two caches and a plugin that is not a cache."""
    shell.plugin("cache-shelf", "Shelf", CACHE.replace("WHERE", '"/a/file"'))
    shell.plugin("cache-near", "Shelf", CACHE.replace("WHERE", '""'))
    shell.plugin("metrics-other", "Other", NOT_A_CACHE)
    shell.use("http://127.0.0.1:9/v1", plugins=("cache-shelf", "cache-near", "metrics-other"))
    return shell


def cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


async def test_stats_tell_how_full_and_how_often(shelf: Any) -> None:
    """One line a cache; a note says whose memory is not seen."""
    result = await shelf.run("cache", "stats")
    near, far = cells(result.out)
    assert far == ["cache-shelf", "2", "3.0 MiB", "1.0 GiB", "4", "1", "80.0%", "/a/file"]
    assert near[0] == "cache-near"
    assert (result.code, "cache-near" in result.err, "cache-shelf" in result.err) == (0, True, False)


async def test_stats_of_models_and_tenants(shelf: Any) -> None:
    """Those that are not counted by name have a row, too; JSON has all of it."""
    result = await shelf.run("cache", "stats", "--models")
    assert cells(result.out)[2:] == [
        ["cache-shelf", "wire/a", "ta", "3", "1", "2", "0", "0", "0"],
        ["cache-shelf", "(others)", "", "1", "0", "0", "0", "0", "0"],
    ]
    reported = json.loads((await shelf.run("cache", "stats", "--json")).out)["caches"]
    assert reported["cache-shelf"]["counts"][0]["hits"] == 3
    assert reported["cache-near"]["max_size"] == 2**30


@pytest.mark.parametrize(
    ("options", "models"),
    [
        ((), ["wire/a", "wire/b"]),
        (("--model", "wire/a"), ["wire/a"]),
        (("--tenant", "tb"), ["wire/b"]),
        (("--tenant", ""), []),
        (("--older", "1 min"), ["wire/b"]),
        (("--older", "1 min", "--model", "wire/a"), []),
    ],
)
async def test_list_has_what_is_meant(options: tuple[str, ...], models: list[str], shelf: Any) -> None:
    """By model, tenant and age; all that are given must fit."""
    result = await shelf.run("cache", "list", "--cache", "cache-shelf", *options)
    assert [row[2] for row in cells(result.out)] == models
    if models == ["wire/a"]:
        assert cells(result.out) == [["cache-shelf", "616161616161", "wire/a", "ta", "10 s", "2.0 KiB", "5"]]


async def test_list_for_programs_is_a_json_object_a_line(shelf: Any) -> None:
    """With the whole key."""
    lines = (await shelf.run("cache", "list", "--json")).out.splitlines()
    assert len(lines) == 4
    assert json.loads(lines[0])["digest"] == "61" * 32


async def test_purge_says_how_many_are_gone(shelf: Any) -> None:
    """In each cache; a selection is required, and ``--all`` excludes others."""
    assert (await shelf.run("cache", "purge", "--tenant", "ta")).out.splitlines() == [
        "cache-near: deleted 1 answer.", "cache-shelf: deleted 1 answer.",
    ]  # fmt: skip
    assert "deleted 2 answers" in (await shelf.run("cache", "purge", "--all")).out
    for options in ((), ("--all", "--tenant", "ta")):
        result = await shelf.run("cache", "purge", *options)
        assert (result.code, "--all" in result.err) == (2, True)


async def test_export_is_a_json_object_a_line(shelf: Any) -> None:
    """Answers on one line each, however they were written; what is not JSON is skipped without harm."""
    result = await shelf.run("cache", "export", "--cache", "cache-shelf")
    first, second = map(json.loads, result.out.splitlines())
    assert first == {
        "cache": "cache-shelf", "key": "61" * 32, "model": "wire/a", "tenant": "ta", "stored": 99.5,
        "response": {"said": "no"}, "events": ["one", "two"],
    }  # fmt: skip
    assert (second["model"], second["response"]) == ("wire/b", None)


async def test_where_no_cache_is_it_says_so(shell: Any) -> None:
    """Also where there is one and another is named."""
    shell.use("http://127.0.0.1:9/v1")
    result = await shell.run("cache", "stats")
    assert (result.code != 0, "a cache with readable contents" in result.err) == (True, True)


async def test_a_cache_that_is_not_there_is_named(shelf: Any) -> None:
    """With those that are."""
    result = await shelf.run("cache", "list", "--cache", "cache-other")
    assert result.code != 0
    assert "cache-near, cache-shelf" in result.err
