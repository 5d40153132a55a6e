"""Traces of keys, as caches are judged by: generated, and the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence


def zipf(seed: int, *, keys: int, length: int, exponent: float) -> list[int]:
    """Return keys of which the n-th most popular is asked for in proportion to ``1 / n ** exponent``."""
    weights = itertools.accumulate(1 / rank**exponent for rank in range(1, keys + 1))
    return random.Random(seed).choices(range(keys), cum_weights=list(weights), k=length)


def loop(*, keys: int, length: int) -> list[int]:
    """Return the same keys in the same order, again and again."""
    return [number % keys for number in range(length)]


def with_scans(trace: Sequence[int], *, every: int, scan: int) -> list[int]:
    """Return a trace into which, every so often, comes a run of keys that are asked for once and never again."""
    fresh = itertools.count(max(trace) + 1)
    mixed: list[int] = []
    for start in range(0, len(trace), every):
        mixed += trace[start : start + every]
        mixed += itertools.islice(fresh, scan)
    return mixed


def shifting(seed: int, *, keys: int, length: int, phases: int, exponent: float) -> list[int]:
    """Return a trace whose popular keys are others in each phase."""
    part = length // phases
    trace: list[int] = []
    for phase in range(phases):
        trace += [key + phase * keys for key in zipf(seed + phase, keys=keys, length=part, exponent=exponent)]
    return trace


def recent(seed: int, *, length: int, fresh: float, mean: float) -> list[int]:
    """Return a trace that asks again for what was asked for lately: the friend of LRU.

    Args:
        seed: For the source of randomness.
        length: How many requests.
        fresh: The share of requests that ask for a new key.
        mean: How many requests ago, on average, the others were last made (exponentially distributed).
    """
    source = random.Random(seed)
    trace = [0]
    for number in range(1, length):
        if source.random() < fresh:
            trace.append(number)
        else:
            trace.append(trace[-min(len(trace), 1 + int(source.expovariate(1 / mean)))])
    return trace
