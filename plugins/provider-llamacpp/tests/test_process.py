"""A child never outlives its owner, whatever becomes of the owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent.structuring.secrets import Secret
from localagent_provider_llamacpp import process as module
from localagent_provider_llamacpp.loading import order
from localagent_provider_llamacpp.process import ModelProcess
from localagent_provider_llamacpp.settings import ModelServerSettings

OWNER = """
import asyncio, os, signal, sys
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_provider_llamacpp.supervisor import ModelServer

async def own(server):
    await server.start()
    endpoint = await server.ready()
    copy = os.fork() if "fork" in sys.argv else 0
    if "fork" in sys.argv and not copy:
        signal.pause() if "leave" not in sys.argv else sys.exit()
    print(endpoint.pid, copy, flush=True)
    if "fork" in sys.argv or "leave" not in sys.argv:
        await asyncio.Event().wait()

def tell(endpoint):
    if os.getpid() == owner and endpoint is None:
        print("gone", flush=True)

owner = os.getpid()
settings = ModelServerSettings(model=sys.argv[1], threads=1, context=256)
asyncio.run(own(ModelServer(settings, on_change=tell)))
"""


class Owner:
    """A process that owns a model server, and perhaps a forked copy of itself."""

    def __init__(self, model: Path, *how: str) -> None:
        self.popen = subprocess.Popen([sys.executable, "-c", OWNER, str(model), *how], stdout=subprocess.PIPE)
        assert self.popen.stdout
        self.child, self.copy = map(int, self.popen.stdout.readline().split())

    def kill(self) -> None:
        """End it in the one way that it cannot notice."""
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def own(tiny_model: Path) -> Iterator[Any]:
    """Start owners of a tiny model."""
    owners: list[Owner] = []

    def start(*how: str) -> Owner:
        owners.append(Owner(tiny_model, *how))
        return owners[-1]

    yield start
    for owner in owners:
        owner.kill()
        owner.popen.communicate()


def tiny_order(tiny: ModelServerSettings) -> dict[str, Any]:
    return dict(order(tiny, Path(tiny.model), Secret("key of this test")))


def test_the_child_ends_when_its_owner_is_killed(own: Any, watch: Any) -> None:
    """SIGKILL leaves the owner no time; the kernel closes its pipe, and the child ends by that."""
    owner = own()
    child = watch(owner.child)
    assert not child.ended(0)
    owner.kill()
    assert child.ended()


def test_a_forked_copy_of_the_owner_does_not_keep_the_child_alive(own: Any, watch: Any) -> None:
    """The copy closes its end of the pipe at once; so the child ends with the owner, and the copy lives on."""
    owner = own("fork")
    child, copy = watch(owner.child), watch(owner.copy)
    owner.kill()
    assert child.ended()
    assert not copy.ended(0)


def test_a_forked_copy_that_ends_does_not_end_the_child(own: Any, watch: Any) -> None:
    """The child belongs to the process that started it."""
    owner = own("fork")
    child, copy = watch(owner.child), watch(owner.copy)
    copy.kill()
    assert copy.ended()
    assert not child.ended(0.3)


def test_a_forked_copy_that_leaves_its_loop_does_not_end_the_child(own: Any, watch: Any) -> None:
    """What ``asyncio.run`` cancels in the copy is not the copy's; the owner still hears when the child dies."""
    owner = own("fork", "leave")
    child, copy = watch(owner.child), watch(owner.copy)
    assert copy.ended()
    assert not child.ended(0.3)
    child.kill()
    assert owner.popen.stdout.readline() == b"gone\n"


def test_an_owner_that_ends_without_closing_takes_the_child_along(own: Any, watch: Any) -> None:
    """``asyncio.run`` cancels what is left, and the supervisor ends its process then."""
    owner = own("leave")
    try:
        child = watch(owner.child)
    except ProcessLookupError:  # it is gone already
        return
    assert child.ended()
    assert owner.popen.wait(timeout=10) == 0


def test_a_child_that_does_not_end_itself_is_killed(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch, watch: Any
) -> None:
    """A stopped process reads no pipe; after the grace it is killed by its id."""
    monkeypatch.setattr(module, "GRACE", 0.1)

    async def stop_and_close() -> str:
        async with ModelProcess(tiny_order(tiny)) as process:
            assert "port" in await process.report()
            watch(process.pid)
            os.kill(process.pid, signal.SIGSTOP)
        return process.ending()

    assert asyncio.run(stop_and_close()) == "signal SIGKILL"


def test_the_child_inherits_no_file_and_no_key(tiny: ModelServerSettings, tmp_path: Path) -> None:
    """Neither a descriptor that is marked inheritable, nor the key in its arguments or its environment."""
    with (tmp_path / "private").open("w") as private:
        os.set_inheritable(private.fileno(), True)

        async def look() -> tuple[set[str], bytes]:
            async with ModelProcess(tiny_order(tiny)) as process:
                await process.report()
                folder = Path(f"/proc/{process.pid}")
                files = {str(entry.readlink()) for entry in (folder / "fd").iterdir()}
                return files, (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()

        files, shown = asyncio.run(look())
    assert str(tmp_path / "private") not in files
    assert b"localagent_provider_llamacpp.child" in shown
    assert b"key of this test" not in shown


def test_the_child_is_not_in_the_terminals_group(tiny: ModelServerSettings) -> None:
    """What a terminal sends to its foreground group, such as Ctrl-C, reaches the owner alone."""

    async def look() -> bool:
        async with ModelProcess(tiny_order(tiny)) as process:
            return os.getpgid(process.pid) == process.pid

    assert asyncio.run(look())


def test_a_module_in_the_current_folder_is_not_taken_for_ours(
    tiny: ModelServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file ``json.py`` that happens to lie where the owner was started changes nothing."""
    (tmp_path / "json.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)

    async def ask() -> Any:
        async with ModelProcess(tiny_order(tiny)) as process:
            return await process.report()

    assert "port" in asyncio.run(ask())


def test_a_child_that_dies_before_it_reports_gives_an_empty_report(tiny: ModelServerSettings) -> None:
    """A caller that waits for the report is not left waiting."""

    async def kill() -> tuple[Any, bool]:
        async with ModelProcess(tiny_order(tiny)) as process:
            os.kill(process.pid, signal.SIGKILL)
            report = await process.report()
            await process.wait()
            return report, process.gone

    assert asyncio.run(kill()) == ({}, True)
