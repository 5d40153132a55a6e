"""Where there is no folder for the file: answers come without this cache, and one warning says so."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from localagent import Client, StartError, Which
from localagent_cache_sqlite import SqliteCachePlugin
from localagent_testing import fake_provider_plugin


async def test_without_a_state_folder_nothing_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Requests are answered and not cached; whoever looks into the cache is told why there is nothing."""
    (tmp_path / "file").touch()
    fake = fake_provider_plugin()
    settings = {"state_folder": tmp_path / "file" / "below", "health": {"enabled": False}}
    async with Client(settings, plugins=[fake, SqliteCachePlugin], environment={}) as client:
        for _ in range(2):
            assert not (await client.chat("Hello.", temperature=0)).cached
        cache = (await client.runtime()).pipeline.plugins["cache-sqlite"]
        assert isinstance(cache, SqliteCachePlugin)
        await cache.flushed()
        with pytest.raises(StartError, match="keeps nothing"):
            await cache.cache_figures()
        with pytest.raises(StartError, match="keeps nothing"):
            await cache.cache_purge(Which())
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "cache-sqlite: answers" in warnings[0]
