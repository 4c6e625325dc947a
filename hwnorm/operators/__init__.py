"""The registry of operators: every module of this package and every entry point adds one.

A package outside registers an operator with an entry point in the group ``hwnorm.operators`` that
names a class derived from :class:`~hwnorm.operators.base.Operator`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from hwnorm.errors import InputError
from hwnorm.operators.base import Operator


@cache
def registry() -> dict[str, Operator]:
    """Name -> operator, sorted by name.

    Raises:
        InputError: two operators have one name, or one gives no examples.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for entry in entry_points(group="hwnorm.operators"):
        entry.load()
    found: dict[str, Operator] = {}
    pending = list(Operator.__subclasses__())
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if "name" in vars(kind):
            if kind.name in found:
                raise InputError(f"operator {kind.name!r}: registered twice; a name must be unique")
            if not getattr(kind, "examples", ()):
                raise InputError(
                    f"operator {kind.name!r}: gives no examples; expressions that use it are needed"
                )
            found[kind.name] = kind()
    return dict(sorted(found.items()))


def operator(name: str) -> Operator:
    """The operator of that name.

    Raises:
        InputError: there is none.
    """
    try:
        return registry()[name]
    except KeyError:
        raise InputError(f"unknown operator {name!r}; there are {', '.join(registry())}") from None
