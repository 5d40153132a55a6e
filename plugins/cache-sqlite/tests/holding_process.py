"""A process that has the file open, waits for a word, keeps an entry, and says whether it and number 1000 are found."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlite_entries import entry_of, opened


async def main(folder: Path, number: int) -> None:
    async with opened(folder) as cache:
        await cache.flushed()
        print("open", flush=True)
        sys.stdin.readline()
        cache.keep(entry_of(number))
        await cache.flushed()
        print(*(bool(cache.numbers([one])) for one in (number, 1000)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
