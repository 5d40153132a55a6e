"""The pytest plugin: a test that leaks or shows a canary fails with the reason; ``async def`` tests run."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]

LEAKING = """
import asyncio, logging, os, socket, subprocess, sys, threading
import pytest
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT

kept = []
later = threading.Event()

def test_socket():
    kept.append(socket.socket())

def test_file(tmp_path):
    kept.append(open(tmp_path / "left", "w"))

def test_loop():
    kept.append(asyncio.new_event_loop())

def test_thread():
    threading.Thread(target=later.wait, name="left running", daemon=True).start()

def test_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

def test_unreaped_child():
    kept.append(child := subprocess.Popen([sys.executable, "-c", ""]))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

async def test_task():
    kept.append(asyncio.create_task(asyncio.Event().wait(), name="left waiting"))

def test_task_of_a_run_inside_the_test():
    async def main():
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="left inside"))
    asyncio.run(main())

def test_log():
    logging.getLogger("any").debug("%s", CANARY_KEY)

def test_watched(canaries):
    canaries.watch(ValueError(CANARY_PROMPT))

@pytest.mark.leaks("")
def test_leaks_without_a_reason():
    pass
"""

CLEAN = """
import asyncio, gc, logging, socket, subprocess, sys, threading
import pytest
from hypothesis import given, strategies as st
from localagent_testing.canaries import CANARY_KEY
from localagent_testing.clock import VirtualClockLoop

kept = []

@pytest.fixture(scope="module")
def shared():
    with socket.socket() as held:
        yield held

@pytest.fixture
def number():
    return 3

def test_what_a_wider_fixture_holds(shared):
    assert shared.fileno() > 0

def test_what_is_closed_in_time():
    with socket.socket():
        pass
    thread = threading.Thread(target=lambda: None)
    thread.start()
    subprocess.run([sys.executable, "-c", ""])

async def test_async(number, tmp_path):
    await asyncio.sleep(0)
    assert number == 3
    assert not isinstance(asyncio.get_running_loop(), VirtualClockLoop)

class TestInside:
    @pytest.mark.parametrize("text", ["a", "b"])
    async def test_method(self, text, number):
        assert text * number in ("aaa", "bbb")

@pytest.mark.virtual
async def test_virtual():
    await asyncio.sleep(100_000)

@given(st.integers())
async def test_property(value):
    await asyncio.sleep(0)
    assert value * 2 == value + value

async def test_a_task_that_is_about_to_end():
    asyncio.create_task(asyncio.sleep(0))

@pytest.mark.leaks("to show that it may")
def test_marked():
    kept.append(socket.socket())

def test_harmless(canaries, caplog):
    canaries.watch("sk-canary")
    logging.getLogger("any").debug("fine")
    assert caplog.text

async def test_fails():
    assert 1 == 2

@given(st.integers(min_value=3))
async def test_property_fails(value):
    assert value < 3
"""

EXPECTED = {
    "test_socket": r"left behind: descriptor socket:\[\d+\]$",
    "test_file": r"left behind: descriptor /.*/left$",
    "test_loop": r"descriptor anon_inode:\[eventpoll\]",
    "test_thread": r"left behind: thread left running$",
    "test_child": r"child process \d+ .*input\(\)",
    "test_unreaped_child": r"left behind: child process \d+",
    "test_task": r"left behind: task left waiting <coroutine object Event\.wait",
    "test_task_of_a_run_inside_the_test": r"left behind: task left inside",
    "test_log": r"the canary key is in a log record of 'any': sk-canary",
    "test_watched": r"the canary prompt is in ValueError",
    "test_leaks_without_a_reason": r"Give a reason: @pytest\.mark\.leaks",
}


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    """Run tests in a process of their own."""
    pytester.makepyfile(tests)
    plugins = ("-p", "no:randomly", "-p", "no:cacheprovider")
    return pytester.runpytest_subprocess(*plugins, "-rA", "--tb=line", "--strict-markers")


def test_each_leak_fails_the_test_that_left_it_and_is_named(pytester: pytest.Pytester) -> None:
    """Sockets, files, loops, threads, children, tasks, canaries: each error belongs to one test and names the thing."""
    result = run(pytester, LEAKING)
    result.assert_outcomes(passed=len(EXPECTED) - 1, errors=len(EXPECTED))
    errors = dict(re.findall(r"^_+ ERROR at \w+ of (\w+) _+\n(.+)$", result.stdout.str(), re.MULTILINE))
    assert set(errors) == set(EXPECTED)
    assert {name: errors[name] for name, pattern in EXPECTED.items() if not re.search(pattern, errors[name])} == {}


def test_what_is_clean_passes_and_async_tests_run(pytester: pytest.Pytester) -> None:
    """Wider fixtures, closed things, async functions, methods and properties, the virtual clock; failures fail."""
    result = run(pytester, CLEAN)
    result.assert_outcomes(passed=10, failed=2)
    failed = re.findall(r"^FAILED \S+::(\w+)", result.stdout.str(), re.MULTILINE)
    assert sorted(failed) == ["test_fails", "test_property_fails"]


FOLDERS = """
import os
from pathlib import Path

import pytest

@pytest.fixture(scope="session")
def wider():
    return os.environ["XDG_STATE_HOME"]

@pytest.mark.parametrize("turn", [1, 2])
def test_state(turn, wider):
    state = Path(os.environ["XDG_STATE_HOME"])
    assert not state.exists()
    assert str(state) != wider
    state.mkdir(parents=True)

def test_settings():
    assert not {"LOCALAGENT_CONFIG", "LOCALAGENT_PLUGINS"} & {*os.environ}
    assert str(Path.home()) not in os.environ["XDG_CONFIG_HOME"]
"""


def test_no_test_sees_the_users_folders_or_those_of_another(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and settings folders are each test's own, those of wider fixtures too; nothing is made in advance."""
    home = pytester.mkdir("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "LOCALAGENT_CONFIG", "LOCALAGENT_PLUGINS"):
        monkeypatch.setenv(name, str(home / "users"))
    run(pytester, FOLDERS).assert_outcomes(passed=3)
    assert list(home.iterdir()) == []
