"""The pytest plugin of the test kit: nothing leaks, no secret is shown, and ``async def`` tests run.

pytest finds it by itself; ``-p no:localagent`` disables it. It applies to every test:

* **Leaks.** A test that leaves a descriptor, a thread, a child process or a pending task fails. One that must leave
  something needs a mark: ``@pytest.mark.leaks("why")``. Resources of a fixture with a wider scope do not count, unless
  the test requests it with ``getfixturevalue``.
* **Canaries.** ``CANARY_KEY`` and ``CANARY_PROMPT`` must not be in any log record, down to DEBUG, nor in anything
  passed to the fixture ``canaries``: ``canaries.watch(error)``.
* **The user's folders.** Each test has its own settings and state folders, which are not created before they are
  written; ``LOCALAGENT_CONFIG`` and ``LOCALAGENT_PLUGINS`` are not set. Fixtures with a wider scope use folders of the
  session.
* **Async tests** run in a fresh event loop; with ``@pytest.mark.virtual`` on a ``VirtualClockLoop``. Async fixtures
  are not supported: open what a test needs with ``async with`` inside it.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localagent_testing.canaries import Canaries
from localagent_testing.clock import run_virtual
from localagent_testing.leaks import belongings, new_since, watched_runners


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "leaks(reason): the test may leave something behind, for this reason")
    config.addinivalue_line("markers", "virtual: run the async test on a virtual clock")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run ``async def`` tests; leave all others to pytest."""
    run = run_virtual if pyfuncitem.get_closest_marker("virtual") else asyncio.run
    hypothesis = getattr(pyfuncitem.obj, "hypothesis", None)
    if hypothesis is not None and inspect.iscoroutinefunction(hypothesis.inner_test):
        hypothesis.inner_test = _synchronous(hypothesis.inner_test, run)
        return None
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    run(pyfuncitem.obj(**{name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}))
    return True


def _synchronous(test: Callable[..., Any], run: Callable[[Any], Any]) -> Callable[..., None]:
    def synchronous(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return synchronous


@pytest.fixture(autouse=True, scope="session")
def session_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """Keep the session away from the user's settings and state; yield names of folders that do not exist yet."""
    base = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        _move_user_folders(patch, base / "session")
        yield (base / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_folders(session_folders: Iterator[Path]) -> Iterator[None]:
    """Give the test its own settings and state folders."""
    with pytest.MonkeyPatch.context() as patch:
        _move_user_folders(patch, next(session_folders))
        yield


def _move_user_folders(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        patch.setenv(name, str(folder / name.lower()))
    for name in ("LOCALAGENT_CONFIG", "LOCALAGENT_PLUGINS"):
        patch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a descriptor, a thread, a child process or a pending task."""
    marker = request.node.get_closest_marker("leaks")
    if marker is not None:
        if not (marker.args and isinstance(marker.args[0], str) and marker.args[0]):
            pytest.fail('Give a reason: @pytest.mark.leaks("reason").', pytrace=False)
        yield
        return
    before = belongings()
    with watched_runners() as tasks:
        yield
    if left := [*tasks, *new_since(before)]:
        pytest.fail("The test left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def canaries(no_leaks: None) -> Iterator[Canaries]:
    """Fail the test if a canary is in a log record or in a watched object."""
    watcher = Canaries()
    with _everything_logged(watcher):
        yield watcher
    if sightings := watcher.search():
        pytest.fail("\n".join(sightings), pytrace=False)


@contextmanager
def _everything_logged(watcher: Canaries) -> Iterator[None]:
    """Pass every record down to DEBUG to a handler, except the line that asyncio logs for each new loop."""
    levels = [(logging.getLogger(), logging.DEBUG), (logging.getLogger("asyncio"), logging.INFO)]
    before = [logger.level for logger, _ in levels]
    for logger, level in levels:
        logger.setLevel(level)
    logging.getLogger().addHandler(watcher)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(watcher)
        for (logger, _), level in zip(levels, before, strict=True):
            logger.setLevel(level)
