"""How a command ends when something is wrong."""

from __future__ import annotations

import sys
from typing import Any

from typer.core import TyperCommand, TyperGroup

from hwnorm.errors import InputError


class Commands(TyperGroup):
    """Exit code 2 and one line for what the user can put right, 130 for Ctrl-C; no traceback.

    After the line about another tool that failed come its own message and the command to repeat.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            from hwnorm.tools import ToolError

            print(f"hwnorm: {error}", file=sys.stderr)
            if isinstance(error, ToolError):
                print(f"{error.output.rstrip()}\nto run it again: {error.command}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if error.filename is None or error.strerror is None:
                raise  # not about a file of the user's
            print(f"hwnorm: {error.filename}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(
                "hwnorm: interrupted; what is finished stays, and the same command goes on from there",
                file=sys.stderr,
            )
            sys.exit(130)


class TakesExpression(TyperCommand):
    """A command among whose arguments is an expression, which may begin with a minus."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = [param for param in self.params if param.param_type_name == "option"]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        valued = {name for option in options if not getattr(option, "is_flag", False) for name in option.opts}
        given: list[str] = []
        for arg in args:
            # A minus behind a space begins no option, and spaces mean nothing in an expression.
            formula = arg[:1] == "-" and arg[1:2] not in ("", "-") and arg not in names
            value = bool(given) and given[-1] in valued
            given.append(f" {arg}" if formula and not value and "--" not in given else arg)
        return super().parse_args(ctx, given)
