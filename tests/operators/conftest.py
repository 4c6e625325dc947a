"""A package with operators that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from hwnorm import operators


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of another package that an entry point names; its operators are gone afterwards."""
    module = ModuleType("outside")
    monkeypatch.setitem(sys.modules, "outside", module)
    entry = EntryPoint("any", "outside", "hwnorm.operators")
    monkeypatch.setattr(operators, "entry_points", lambda group: [entry] if group == entry.group else [])
    operators.registry.cache_clear()
    yield module
    for kind in vars(module).values():
        if isinstance(kind, type) and "name" in vars(kind):
            del kind.name  # without a name of its own it is no operator
    operators.registry.cache_clear()
    assert "softsign" not in operators.registry()
