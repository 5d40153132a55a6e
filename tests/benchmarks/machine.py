"""How fast the machine is just now, so that absolute figures can be read.

The calibration is a fixed loop of pure Python: arithmetic and a small dictionary. It takes turns with what it
calibrates, so both meet the machine in the same mood. A figure in microseconds, divided by the loop's time in the same
round and multiplied by ``REFERENCE``, is what the figure would be on a machine on which the loop takes that long.

``REFERENCE`` is fixed. The targets in microseconds were set on a machine on which the loop takes 1.03 ms when nothing
else runs (CPython 3.13); the reference is that, rounded down. It is not to be touched when a target is missed.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata

import msgspec
from measure import CALIBRATION, REFERENCE, Contender, Spread, compare, contender

SHOWN = ("aiohttp", "msgspec", "httpx", "openai", "litellm", "httptools", "uvloop")


class Machine(msgspec.Struct, frozen=True):
    """The machine that a report was made on, and its state.

    Attributes:
        python: Implementation and version.
        system: Operating system and processor family.
        cpus: Processors that the process sees.
        load: Load average of one minute when the report was begun, and when it was done.
        calibration: Microseconds of the calibration loop.
        reference: What ``calibration`` is on the machine that normalised figures speak of.
        versions: Versions of the libraries that took part.
    """

    python: str
    system: str
    cpus: int
    load: tuple[float, float]
    calibration: Spread
    reference: float
    versions: dict[str, str]


def loop() -> int:
    """Run the calibration loop once."""
    seen: dict[int, int] = {}
    total = 0
    for number in range(10_000):
        key = number & 255
        total += seen.get(key, 0)
        seen[key] = total % 7
    return total


async def _loops(number: int) -> None:
    for _ in range(number):
        loop()


def calibration(share: float = 1.0) -> Contender:
    """Return the loop as a contender."""
    return contender(CALIBRATION, _loops, share)


def load() -> float:
    """Return the load average of the last minute; 0 where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


async def look(load_before: float) -> Machine:
    """Describe the machine as it is now."""
    samples = await compare([calibration()], rounds=100, turns=1, size=1)
    return Machine(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        load=(load_before, load()),
        calibration=samples.cost(CALIBRATION),
        reference=REFERENCE,
        versions={name: version for name in SHOWN if (version := version_of(name))},
    )


def version_of(distribution: str) -> str:
    """Return the installed version of a distribution; empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
