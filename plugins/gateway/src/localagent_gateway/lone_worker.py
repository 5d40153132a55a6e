"""One worker in the process of ``localagent serve`` itself."""

from __future__ import annotations

import socket
from typing import Any

from localagent import StartError
from localagent_gateway.figures import figures
from localagent_gateway.log_lines import Lines
from localagent_gateway.reloading import RELOADED, REPLACED, obeying, reload
from localagent_gateway.serving import Serving
from localagent_gateway.shared_parts import SharedParts
from localagent_gateway.signals import Signals
from localagent_gateway.start_objects import keep_for_good
from localagent_gateway.worker import running


async def serve_alone(serving: Serving, sockets: list[socket.socket], lines: Lines) -> bool:
    """Serve until a signal ends it.

    Args:
        serving: What was asked for on the command line.
        sockets: Where to listen.
        lines: Where requests are logged.

    Returns:
        Whether it was drained; False when a second signal ended it.
    """
    with Signals() as signals:
        async with SharedParts() as parts:
            now = await serving.with_shared(parts)
            async with now.client() as client, running(client, now.settings(), sockets, lines) as worker:
                keep_for_good()

                async def again() -> None:
                    await reload(worker, await serving.with_shared(parts))
                    parts.drop_others_after(worker.retired())

                async def replace() -> None:
                    raise StartError("There is one, in the process that serves.", mend="Serve with --workers 2.")

                async def gather() -> dict[str, Any]:
                    return {"workers": [figures(worker, 1)], "silent": []}

                async with serving.told(sockets, gather):
                    async with (
                        obeying(signals.reload, again, **RELOADED),
                        obeying(signals.replace, replace, **REPLACED),
                    ):
                        await signals.ending.wait()
                    return await signals.unless_now(worker.drain())
