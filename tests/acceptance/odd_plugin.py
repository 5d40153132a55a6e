"""An installed plugin that fails when the test wants it to: found by processes through ``PYTHONPATH``."""

from __future__ import annotations

import os
from pathlib import Path

CODE = '''
"""A plugin that fails in the ways that its settings ask for."""

import asyncio
import os
import time
from pathlib import Path

import attrs

from localagent import Call, Metric, Plugin, hookimpl


@attrs.frozen
class OddSettings:
    once: str = ""
    fail: bool = False
    note: str = ""
    wait: str = ""
    hang_once: str = ""
    block: bool = False


class OddPlugin(Plugin):
    settings_class = OddSettings

    async def __aenter__(self):
        if self.settings.once:
            os.mkdir(self.settings.once)
        if self.settings.note:
            with open(self.settings.note, "a") as file:
                file.write(f"{self.core.processes}\\n")
        if self.settings.block:
            time.sleep(3600)
        while self.settings.wait and not Path(self.settings.wait).exists():
            await asyncio.sleep(0.01)
        if self.settings.hang_once:
            try:
                os.mkdir(self.settings.hang_once)
            except FileExistsError:
                return self
            await asyncio.sleep(3600)
        return self

    @hookimpl
    def record_metric(self, call: Call, metric: Metric) -> None:
        if self.settings.fail:
            raise ValueError
'''


def installed(folder: Path) -> dict[str, str]:
    """Install the plugin ``odd`` into a folder; return the environment that makes a process find it.

    Its settings: ``once`` is a folder that it creates when it starts, so that the second process to start fails;
    ``fail`` makes it fail in ``record_metric``; ``note`` is a file to which it writes the number of processes; ``wait``
    is a file that it waits for when it starts; ``hang_once`` is a folder that it creates when it starts: the process
    that creates it hangs; ``block`` makes it block the event loop when it starts.
    """
    about = folder / "localagent_odd-1.2.3.dist-info"
    about.mkdir(parents=True)
    (folder / "localagent_odd.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: localagent-odd\nVersion: 1.2.3\n")
    (about / "entry_points.txt").write_text("[localagent]\nodd = localagent_odd:OddPlugin\n")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
