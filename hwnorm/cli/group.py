"""How a command ends when something is wrong."""

from __future__ import annotations

import sys
from typing import Any

from typer.core import TyperGroup

from hwnorm.errors import InputError


class Commands(TyperGroup):
    """Exit code 2 and one line for what the user can put right, 130 for Ctrl-C; no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            print(f"hwnorm: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print(
                "hwnorm: interrupted; what is finished stays, and the same command goes on from there",
                file=sys.stderr,
            )
            sys.exit(130)
