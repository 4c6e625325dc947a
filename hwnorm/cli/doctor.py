"""The command that says what is installed."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnorm.progress import out


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(doctor)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="the same as JSON, for scripts")] = False,
) -> None:
    """Say what is installed, and what each missing thing would give; status 1 if the main job cannot run."""
    from hwnorm.stages.doctor import Status, examine

    report = examine()
    if json:
        typer.echo(report.as_json())
    else:
        width = max(len(finding.name) for finding in report.findings)
        for finding in report.findings:
            line = f"{finding.status:8}{finding.name:{width}}  {finding.found}"
            if finding.status is not Status.OK:
                how = f": {finding.how}" if finding.how else ""
                line += f"; for {finding.gives}{how}"
            style = "bold red" if finding.status is Status.MISSING else ""
            out.print(line, style=style, highlight=False, soft_wrap=True)
        size = f"{report.cache_bytes / 2**20:.0f} MB of at most {report.cache_most_bytes / 2**20:.0f}"
        out.print(f"{'cache':{width + 8}}  {report.cache}, {size}", highlight=False, soft_wrap=True)
        lacks = ", ".join(finding.name for finding in report.missing)
        verdict = f"The main job cannot run: {lacks}" if lacks else "The main job can run."
        out.print(verdict, highlight=False, soft_wrap=True)
    if report.missing:
        raise typer.Exit(1)
