"""The command line: it reads options, calls a stage, and turns what is wrong into one line."""

from __future__ import annotations

import sys

import click

from hwnorm.cli.app import app
from hwnorm.errors import InputError
from hwnorm.progress import err


def main() -> None:
    """Entry point of the command ``hwnorm``; exits with 2 when the user can put something right."""
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        print(f"hwnorm: {error}", file=sys.stderr)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        err.print("interrupted; what is finished stays, and the same command goes on from there")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
