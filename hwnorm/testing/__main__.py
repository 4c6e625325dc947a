"""``python -m hwnorm.testing NAME...``: the conformance suite of operators, a line a check."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from hwnorm.errors import InputError
from hwnorm.operators import operator
from hwnorm.testing.operators import CHECKS, check_renderings
from hwnorm.tools import ToolError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check of the named operators; 1 if one fails, 2 if a name or a tool is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m hwnorm.testing", description="Check what operators of the registry must do."
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="an operator")
    names = parser.parse_args(arguments).names
    failed = False
    try:
        for name in names:
            operator(name)
        checks: list[tuple[str, str, Callable[[], None]]] = [
            (name, facet, partial(check, name)) for name in names for facet, check in CHECKS.items()
        ]
        checks.append((", ".join(names), "renderings", partial(check_renderings, names)))
        for name, facet, run in checks:
            try:
                run()
                print(f"{name}: {facet}: ok", flush=True)
            except AssertionError as error:
                failed = True
                print(error, flush=True)
    except InputError as error:
        print(f"hwnorm.testing: {error}", file=sys.stderr)
        if isinstance(error, ToolError):
            print(f"{error.output.rstrip()}\nto run it again: {error.command}", file=sys.stderr)
        return 2
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
