"""``localagent.ask``: one line for scripts, wherever it stands; each script here is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

HEAD = """
    import asyncio, os, sys, threading
    import localagent
    from localagent.plugin_api.plugin import Plugin
    from localagent.plugin_api.discovery import Found
    from localagent_testing.fake_provider import Reply, fake_provider_plugin

    # The script's own provider, in place of what is installed here.
    fake = fake_provider_plugin(lambda attempt: Reply(f"{len(fake.asked)}: {attempt.request.messages[-1]['content']}"))
    class Closing(Plugin):
        name = "metrics-closing"
        async def __aexit__(self, *error):
            print("closed", flush=True)
    original = localagent.Client.__init__
    def init(self, settings=None, **more):
        original(self, {"health": {"enabled": False}}, plugins=[fake, Closing], environment={})
    localagent.Client.__init__ = init
"""


def run(script: str, tmp_path: Path, *, code: int = 0) -> list[str]:
    """Run a script with all warnings as errors; return its lines. Nothing may be on stderr."""
    program = dedent(HEAD) + dedent(script)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


def test_in_a_plain_script(tmp_path: Path) -> None:
    """It answers, and what it opened is closed at the script's end."""
    assert run('print(localagent.ask("Hello."))', tmp_path) == ["1: Hello.", "closed"]


def test_twice_with_one_client(tmp_path: Path) -> None:
    """The second question uses what the first one opened."""
    script = """
        print(localagent.ask("a"))
        threads = threading.active_count()
        print(localagent.ask([{"role": "user", "content": "b"}], model="fake/x", timeout=5.0, temperature=0))
        print(threading.active_count() - threads, len(fake.made))
    """
    assert run(script, tmp_path) == ["1: a", "2: b", "0 1", "closed"]


def test_inside_a_running_loop(tmp_path: Path) -> None:
    """As in a notebook."""
    script = """
        async def main():
            print(localagent.ask("a"))
            print(await asyncio.to_thread(localagent.ask, "b"))
        asyncio.run(main())
    """
    assert run(script, tmp_path) == ["1: a", "2: b", "closed"]


def test_from_many_threads(tmp_path: Path) -> None:
    """All share one background loop, made once."""
    script = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(localagent.ask, "abcdefgh"))
        print(sorted(answer[-1] for answer in answers), len(fake.made))
    """
    assert run(script, tmp_path) == [str(list("abcdefgh")) + " 1", "closed"]


def test_errors_come_to_whoever_asks(tmp_path: Path) -> None:
    """As they are; the next question is answered."""
    script = """
        try:
            localagent.ask("a", model="nobody/x")
        except localagent.errors.ModelNotFound as error:
            print(error.message)
        print(localagent.ask("b"))
    """
    assert run(script, tmp_path) == ["There is no provider named nobody.", "1: b", "closed"]


def test_after_closing_it_opens_anew(tmp_path: Path) -> None:
    """``close`` may be called early, and again."""
    script = """
        from localagent.scripts import close
        close()
        print(localagent.ask("a"))
        close()
        close()
        print(localagent.ask("b"))
    """
    assert run(script, tmp_path) == ["1: a", "closed", "2: b", "closed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_after_a_fork(tmp_path: Path) -> None:
    """The child opens its own, and the parent's goes on."""
    script = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own word about forking with threads
        print(localagent.ask("parent"), flush=True)
        child = os.fork()
        if child == 0:
            print(localagent.ask("child"), flush=True)
            from localagent.scripts import close
            close()
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        print(localagent.ask("parent again"), flush=True)
    """
    assert run(script, tmp_path) == ["1: parent", "2: child", "closed", "2: parent again", "closed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_ends_by_itself(tmp_path: Path) -> None:
    """A child that never asks, and leaves the usual way, closes none of its parent's resources and does not hang."""
    script = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        print(localagent.ask("parent"), flush=True)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
    assert run(script, tmp_path) == ["1: parent", "0", "closed"]


def test_a_script_that_fails_closes_too(tmp_path: Path) -> None:
    """An exit in the middle is an end like any other."""
    script = """
        print(localagent.ask("a"), flush=True)
        sys.exit(3)
    """
    assert run(script, tmp_path, code=3) == ["1: a", "closed"]


def test_whoever_is_interrupted_cancels_its_question(tmp_path: Path) -> None:
    """Ctrl-C while waiting ends the request at once; the script can go on."""
    script = """
        import signal
        def said(attempt):
            if len(fake.asked) > 1:
                return Reply("next")
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            return Reply(after=600.0)
        fake.replies = {"one": said}
        try:
            localagent.ask("a")
        except KeyboardInterrupt:
            print("interrupted")
        print(localagent.ask("b"), fake.asked[0].ended)
    """
    assert run(script, tmp_path) == ["interrupted", "next cancelled", "closed"]
