"""An expression on the command line may begin with a minus, or come from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from hwnorm.cli.group import Commands, TakesExpression
from hwnorm.cli.options import FromOption, the_expression

app = typer.Typer(cls=Commands)


@app.command(cls=TakesExpression)
def show(
    expression: Annotated[str | None, typer.Argument()] = None,
    expression_file: FromOption = None,
    clock: float = 1.0,
    force: bool = False,
) -> None:
    """Print what was given."""
    typer.echo(f"{the_expression(expression, expression_file).strip()} {clock} {force}")


@app.command()
def other() -> None:
    """Make commands have names."""


def given(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["show", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout + result.stderr


@pytest.mark.parametrize("text", ["-0.522*x+2.11*clip(x,5)", "-x", "-(x - 1)", "-tanh(x)", "-.5*x", "- x"])
@pytest.mark.parametrize("before", [[], ["--clock", "-2"], ["--force"], ["--clock=3", "--force"], ["--"]])
def test_it_may_begin_with_a_minus(text, before):
    code, said = given(*before, text)
    assert (code, said.startswith(f"{text} ")) == (0, True), said
    assert ("-2.0" in said) is ("-2" in before)
    if "--" not in before:
        assert given(text, *before)[1] == said


def test_what_is_no_option_is_still_told():
    code, said = given("--clok", "3", "-x")
    assert code == 2
    assert "No such option: --clok" in said


def test_it_may_come_from_a_file(tmp_path):
    file = tmp_path / "f.txt"
    file.write_text("\ufeff-x  # slope\n+ 1", encoding="utf-8")
    assert given("--from", file) == (0, "-x  # slope\n+ 1 1.0 False\n")
    for args, said in (
        ((), "neither is given"),
        (("-x", "--from", file), f"'-x' and --from {file} are given"),
        (("--from", tmp_path / "none"), "cannot be read (No such file or directory)"),
    ):
        code, found = given(*args)
        assert code == 2
        assert said in found
