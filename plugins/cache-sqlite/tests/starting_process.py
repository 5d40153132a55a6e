"""A process that waits for input, opens the file, keeps ten entries and prints how many of them it finds."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlite_entries import entry_of, opened


async def main(folder: Path, first: int) -> None:
    async with opened(folder) as cache:
        cache.keep(*(entry_of(number) for number in range(first, first + 10)))
        await cache.flushed()
        print(len(cache.numbers(range(first, first + 10))))


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
