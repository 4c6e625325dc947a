"""The command that writes an example into the user's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnorm.errors import InputError
from hwnorm.progress import out as console


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(example)


def example(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="of an example; lists them if not given")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write; else NAME.py in this folder")] = None,
) -> None:
    """Write an example: a script in cells, which runs as it is and opens as a notebook."""
    from hwnorm.stages.examples import titles, write_example

    if name is None:
        if out is not None:
            raise InputError("option --out: the name of an example is needed beside it")
        known = titles()
        width = max(map(len, known))
        for each, title in known.items():
            console.print(f"{each:{width}}  {title}", highlight=False, soft_wrap=True)
        return
    path = write_example(name, out)
    console.print(f"{path}: run it with Python, or open it as a notebook", highlight=False, soft_wrap=True)
