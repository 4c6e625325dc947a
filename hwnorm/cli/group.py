"""How a command ends when something is wrong."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

from hwnorm.errors import InputError

#: What a command holds until it ends, such as the lock of a run folder.
held = ExitStack()
#: Commands that begin anew, whatever they had done when they were stopped.
_BEGIN_ANEW = frozenset(("compile", "score", "compare", "characterize", "synth", "export", "cosim"))
#: Of a disk: nothing can be written, whatever file it was.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Commands(TyperGroup):
    """Exit code 2 and one line for what the user can put right, 130 for Ctrl-C; no traceback.

    After the line about another tool that failed come its own message and the command to repeat. What a
    queueing system ends (SIGTERM) is told and tidied up as what Ctrl-C ends is, with exit code 143.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            with _ends_tidily(), held:
                return super().invoke(ctx)
        except InputError as error:
            from hwnorm.tools import ToolError

            print(f"hwnorm: {error}", file=sys.stderr)
            if isinstance(error, ToolError):
                print(f"{error.output.rstrip()}\nto run it again: {error.command}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if error.errno in _FULL:
                where = "" if error.filename is None else f"{error.filename}: "
                print(f"hwnorm: {where}{os.strerror(error.errno)}", file=sys.stderr)
                sys.exit(2)
            if error.filename is None or error.strerror is None:
                raise  # not about a file of the user's
            print(f"hwnorm: {error.filename}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as error:
            anew = ctx.invoked_subcommand in _BEGIN_ANEW
            kept = "the same command begins anew"
            if not anew:
                kept = "what is finished stays, and the same command goes on from there"
            terminated = isinstance(error, _Terminated)
            print(f"hwnorm: {'terminated' if terminated else 'interrupted'}; {kept}", file=sys.stderr)
            sys.exit(143 if terminated else 130)
        except Exception as error:  # of libraries that write in their own way
            if os.strerror(errno.ENOSPC) not in str(error):
                raise
            print(f"hwnorm: {os.strerror(errno.ENOSPC)}", file=sys.stderr)
            sys.exit(2)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def _ends_tidily() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does, so that nothing is left behind."""

    def terminated(number: int, frame: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
