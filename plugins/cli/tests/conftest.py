"""A shell: runs ``localagent`` as a process of its own, with a home, settings and plugins of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import sys
import termios
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent_testing import ReadRequest, Script, Send, answer, chunked, head
from localagent_testing.faults.dialects import DIALECTS, whole

OPENAI = DIALECTS["openai"]
SOON = 30.0
PROGRAM = ("-m", "localagent_cli")
# A shell's part: a session of its own whose terminal is standard input; then the program takes over the process.
IN_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
WIRE = """
    from localagent import ModelInfo, NoSettings, OpenAICompatible, Plugin, ProviderType, hookimpl

    class WireProvider(OpenAICompatible):
        def model_info(self, row, instance):
            window, owner = row.get("context_length"), row.get("owned_by", "")
            return ModelInfo(row["id"], instance.provider, instance.id, window, owner=owner)

    class Wire(Plugin):
        @hookimpl
        def provide(self):
            return [ProviderType("wire", NoSettings, lambda setup: WireProvider(setup, *setup.instances("http://w")))]
"""


@attrs.frozen
class Result:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str


class Screen:
    """A command in a pseudo-terminal, as the person in front of it sees it."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.text = ""
        self._process = process
        self._master = master
        self._read_to = 0
        self._changed = asyncio.Event()
        self._over = False
        asyncio.get_running_loop().add_reader(master, self._arrived)

    def _arrived(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            data = b""
        if not data:
            self.close()
            self._over = True
        self.text += data.decode(errors="replace")
        self._changed.set()

    def close(self) -> None:
        """Look no more."""
        asyncio.get_running_loop().remove_reader(self._master)

    def types(self, text: str) -> None:
        """Type a text; ``\\x03`` is Ctrl-C, ``\\x04`` Ctrl-D."""
        os.write(self._master, text.encode())

    async def presses(self, key: str) -> None:
        """Type a key when the command waits for one.

        Python's readline misses a Ctrl-C that comes after it wrote its prompt and before it waits; no user is so fast.
        """
        async with asyncio.timeout(SOON):
            while self._state() not in ("S", ""):  # noqa: ASYNC110 - the kernel has no event for it
                await asyncio.sleep(0)
        self.types(key)

    def _state(self) -> str:
        """Return the state of the process: S while it waits, R while it runs; empty if it is unknown."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else ""

    async def shows(self, text: str) -> None:
        """Wait until a text appears after all that was waited for before."""
        async with asyncio.timeout(SOON):
            while (found := self.text.find(text, self._read_to)) < 0:
                assert not self._over, f"{text!r} never came after: {self.text[self._read_to :]!r}"
                self._changed.clear()
                await self._changed.wait()
        self._read_to = found + len(text)

    async def ends(self) -> int:
        """Wait until the command has ended and return its exit code."""
        async with asyncio.timeout(SOON):
            while not self._over:
                self._changed.clear()
                await self._changed.wait()
            return await self._process.wait()


class Shell:
    """Runs commands in a folder of its own.

    Attributes:
        folder: The working directory, and the home.
        environment: The environment of the commands.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = folder / "modules"
        self.modules.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(self.modules), "TERM": "xterm",
            "PYTHONWARNINGS": "error::ResourceWarning",
        }  # fmt: skip
        self.plugin("provider-wire", "Wire", WIRE)

    def plugin(self, name: str, kind: str, source: str, *, module: str = "", commands: str = "") -> None:
        """Install a plugin: a module, and the metadata of a distribution ``the-NAME`` that names it.

        Args:
            name: The plugin's name; empty for a distribution ``the-MODULE`` that adds commands only.
            kind: Its class.
            source: What the module holds.
            module: The module's name; without it that of the plugin.
            commands: Names of commands, each a name in the module.
        """
        module = module or name.replace("-", "_")
        (self.modules / f"{module}.py").write_text(textwrap.dedent(source))
        metadata = self.modules / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: the-{name or module}\nVersion: 1.0\n")
        entries = [f"[localagent]\n{name} = {module}:{kind}"] if name else []
        entries += ["[localagent.commands]", *(f"{one} = {module}:{one}" for one in commands.split())]
        (metadata / "entry_points.txt").write_text("\n".join(entries) + "\n")

    def settings(self, text: str) -> Path:
        """Write ``localagent.toml``."""
        path = self.folder / "localagent.toml"
        path.write_text(textwrap.dedent(text))
        return path

    def use(self, *urls: str, plugins: tuple[str, ...] = (), more: str = "") -> None:
        """Write settings with the provider ``wire`` at these addresses and the model ``wire/m`` as default."""
        self.settings(
            f'use = {["connect-aiohttp", "provider-wire", *plugins]}\ndefault_model = "wire/m"\n{more}\n'
            f"[providers.wire]\ninstances = {list(urls)}\n"
        )

    async def start(self, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        """Start ``localagent`` with these arguments."""
        return await self.start_program(sys.executable, *PROGRAM, *arguments, **streams)

    async def start_program(self, *words: str, **streams: Any) -> asyncio.subprocess.Process:
        """Start any program in the same folder and environment."""
        streams = {"stdin": asyncio.subprocess.DEVNULL, **streams}
        return await asyncio.create_subprocess_exec(*words, cwd=self.folder, env=self.environment, **streams)

    async def run(self, *arguments: str, stdin: bytes | None = None, **streams: Any) -> Result:
        """Run ``localagent`` to its end."""
        pipe = asyncio.subprocess.PIPE
        given = {"stdout": pipe, "stderr": pipe, **({} if stdin is None else {"stdin": pipe}), **streams}
        process = await self.start(*arguments, **given)
        async with asyncio.timeout(SOON):
            out, err = await process.communicate(stdin)
        return Result(await process.wait(), (out or b"").decode(), (err or b"").decode())

    @contextlib.asynccontextmanager
    async def screen(self, *arguments: str, columns: int = 100) -> AsyncIterator[Screen]:
        """Run ``localagent`` in a terminal."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", IN_TERMINAL, *PROGRAM, *arguments, cwd=self.folder, env=self.environment,
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)
        screen = Screen(process, master)
        try:
            yield screen
        finally:
            screen.close()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
            os.close(master)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)


@pytest.fixture
def says() -> Callable[..., Script]:
    """Makes the script of a server that streams these texts and ends well."""

    def script(*texts: str) -> Script:
        start = head(200, {"Content-Type": OPENAI.stream_type, "Transfer-Encoding": "chunked"})
        return (ReadRequest(), Send(start + chunked(whole(OPENAI, texts))))

    return script


@pytest.fixture
def stream_head() -> bytes:
    """The head of a streamed answer whose body is sent in chunks."""
    return head(200, {"Content-Type": OPENAI.stream_type, "Transfer-Encoding": "chunked"})


@pytest.fixture
def answers() -> Callable[..., Script]:
    """Makes the script of a server that gives a whole answer."""

    def script(text: str = "Hello world", **fields: Any) -> Script:
        return (ReadRequest(), Send(answer(200, {**OPENAI.completion(text), **fields})))

    return script


@pytest.fixture
def refuses() -> Callable[..., Script]:
    """Makes the script of a server that answers with an error."""

    def script(status: int, message: str, **fields: Any) -> Script:
        return (ReadRequest(), Send(answer(status, OPENAI.error(message, **fields))))

    return script
