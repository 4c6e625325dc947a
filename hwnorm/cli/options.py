"""Options that commands share, made from what they set."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from hwnorm.cli.group import held
from hwnorm.errors import InputError
from hwnorm.files import remove_strays
from hwnorm.locks import alone_in
from hwnorm.runs.settings import RunSettings, option_name

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="run folder")]
JobsOption = Annotated[
    int,
    typer.Option(
        min=1, show_default="one a core", help="processes at a time; the results do not depend on it"
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="start over in a folder that is in use")]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="address of a Dask scheduler, slurm:FILE or lsf:FILE (docs/sweeps.md): what runs it instead",
    ),
]

#: Beside an argument ``expression``: exactly one of the two is given (:func:`the_expression`).
FromOption = Annotated[
    Path | None,
    typer.Option("--from", help="file with the expression: any number of lines, comments behind #"),
]

JOBS = os.cpu_count() or 1


def held_run(path: Path) -> Any:
    """The run folder at ``path``, in which no other process works until the command ends.

    Of the processes that ``torchrun`` started, which are one, the first holds it.

    Raises:
        InputError: it is none, or another process works in it.
    """
    from hwnorm.realign.distributed import is_first
    from hwnorm.runs.folder import RunFolder

    if is_first():
        held.enter_context(alone_in(path))
        remove_strays(path)
    return RunFolder.open(path)


def the_expression(argument: str | None, file: Path | None) -> str:
    """The expression that was given as an argument or in a file.

    Raises:
        InputError: neither or both are given, or the file cannot be read or holds no expression.
    """
    if (argument is None) == (file is None):
        found = (
            "neither is given" if argument is None else f"{argument.strip()!r} and --from {file} are given"
        )
        raise InputError(f"the expression is an argument or --from FILE; {found}")
    if file is None:
        return str(argument)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"option --from: {file}: cannot be read ({reason})") from None
    from hwnorm.expression import parse

    try:
        parse(text)
    except InputError as error:
        raise InputError(f"option --from: {file}: {error}") from None
    return text


def _flag(name: str) -> str:
    """A field's option; of what is so unless it is left out, with the option that does."""
    option = option_name(name)
    return f"{option}/--no-{option[2:]}" if RunSettings.model_fields[name].default is True else option


def _given(name: str) -> Any:
    """The type of a field's option; None where the target says what is not given."""
    annotation = RunSettings.model_fields[name].annotation
    return float | None if name == "clock_mhz" else annotation


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of RunSettings; it gets them as the dict ``values``."""
    hints = get_type_hints(command, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        p.replace(kind=keyword, annotation=hints[name])
        for name, p in inspect.signature(command).parameters.items()
        if name != "values"
    ] + [
        inspect.Parameter(
            name,
            keyword,
            default=None if name == "clock_mhz" else field.default,
            annotation=Annotated[_given(name), typer.Option(_flag(name), help=field.description)],
        )
        for name, field in RunSettings.model_fields.items()
    ]

    def wrapper(**given: Any) -> None:
        values = {name: given.pop(name) for name in RunSettings.model_fields}
        command(**given, values=values)

    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper
