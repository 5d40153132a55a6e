"""``localagent doctor``: finds problems and shows how to fix them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import click
import msgspec

from localagent import LocalAgentError
from localagent_cli import findings as found
from localagent_cli.exit_codes import ExitCode
from localagent_cli.findings import Finding
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.request_options import Duration
from localagent_cli.terminal import Styled, Terminal, one_line

SECONDS = 3.0
COLORS = {"ok": "green", "note": "bright_black", "warn": "yellow", "broken": "red"}


@command("doctor", help="Find problems and show how to fix them. The exit code is 1 if something is broken.")
@click.option("--timeout", type=Duration(), default=SECONDS, help="How long to wait for an instance.  [default: 3 s]")
@click.option("--live", is_flag=True, help="Check the running server processes instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(line: CommandLine, timeout: float, *, live: bool, as_json: bool) -> None:
    """Find problems."""
    line.without_warnings()
    findings = _live(line) if live else [*found.installation(), *_configured(line, timeout)]
    if as_json:
        line.terminal.line(msgspec.json.encode({"findings": [attrs.asdict(item) for item in findings]}).decode())
    else:
        _show(line.terminal, findings)
    if any(finding.level == "broken" for finding in findings):
        raise click.exceptions.Exit(ExitCode.FAILED)


def _configured(line: CommandLine, timeout: float) -> list[Finding]:
    """Check everything that depends on the settings, as far as they can be used."""
    try:
        settings = line.settings()
    except LocalAgentError as error:
        return [found.broken("settings", error)]
    findings = [found.settings_file(settings), found.state_folder(settings)]
    try:
        _, pipeline, reports = line.assembled()
    except LocalAgentError as error:
        return [*findings, found.broken("plugins", error)]
    findings += [*found.plugins(settings, reports), *found.idle_settings(settings, pipeline)]
    findings += found.of_plugins(settings, pipeline)
    if not pipeline.plugins:
        return findings
    from localagent_cli.live_findings import live_findings

    return findings + line.run(live_findings(line, timeout))


def _live(line: CommandLine) -> list[Finding]:
    """Check the processes that are serving now."""
    from localagent_cli.server_findings import server_findings

    try:
        settings, pipeline, _ = line.assembled()
    except LocalAgentError as error:
        return [found.broken("settings", error)]
    return line.run(server_findings(settings, pipeline))


def _show(terminal: Terminal, findings: Iterable[Finding]) -> None:
    for finding in findings:
        level = Styled(f"{finding.level:<6}", COLORS[finding.level])
        terminal.line(level, f"  {one_line(finding.subject)}: {one_line(finding.text)}")
        if finding.hint:
            terminal.line(f"{'':<8}{one_line(finding.hint)}")
