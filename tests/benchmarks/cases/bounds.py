"""How fast a proxy could be: small programs that do less and less, with ``localagent serve`` between them."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec

from bench import Bench
from gateways.nginx import nginx
from gateways.ours import gateway
from gateways.processes import LeftOut, can_measure, load_on_its_core, program
from gateways.upstream import upstream
from measure import Spread
from report import Row

from cases.side_by_side import Entrant, side_by_side

CASE = "bounds"
PROGRAMS = {
    "aiohttp_and_protocol": "aiohttp's server, bare protocol client",
    "protocols": "protocols on both sides",
}
NGINX = "nginx"
NO_KEY = "parses the body, checks no key"


async def rows(bench: Bench) -> list[Row]:
    """Compare on every event loop that is installed."""
    if not can_measure():
        return []
    if not find_spec("httptools"):
        return [left_out(CASE, "the protocol programs", "httptools is not installed.")]
    found = []
    for loop in ("asyncio", *(["uvloop"] if find_spec("uvloop") else [])):
        found += await _on(loop, bench.rounds)
    return found


async def _on(loop: str, rounds: int) -> list[Row]:
    absent: list[Row] = []
    with load_on_its_core(), ExitStack() as stack:
        async with upstream() as (fake, port):
            entrants = [
                Entrant(stack.enter_context(program("bare_proxy", f"bare aiohttp proxy, {loop}", port, loop))),
                Entrant(stack.enter_context(gateway(f"localagent serve, {loop}", port, loop))),
            ]
            for module, name in PROGRAMS.items():
                proxy = stack.enter_context(program(module, f"{name}, {loop}", port, loop))
                entrants.append(Entrant(proxy, note=NO_KEY))
            try:
                proxy = stack.enter_context(nginx(f"{NGINX}, beside {loop}", port))
            except LeftOut as why:
                absent.append(left_out(CASE, NGINX, str(why)))
            else:
                entrants.append(Entrant(proxy, note="neither parses the body nor checks a key"))
            return await side_by_side(CASE, entrants, fake, rounds) + absent


def left_out(case: str, name: str, why: str) -> Row:
    """Return a row that says why somebody does not take part."""
    return Row(case=case, what=f"{name}: left out", figure=Spread.of([1.0]), unit="left out", note=why)
