"""A process that keeps 200 entries and prints how many of them it finds; a test starts several at once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlite_entries import entry_of, opened


async def main(folder: Path, first: int) -> None:
    async with opened(folder) as cache:
        for number in range(first, first + 200):
            cache.keep(entry_of(number))
            if number % 5 == 0:
                await cache.flushed()
        await cache.flushed()
        print(len(cache.numbers(range(first, first + 200))))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
