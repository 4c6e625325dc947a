"""docs/operators.md: every operator is in its table, and its example is an operator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwnorm.expression import parse
from hwnorm.operators import operator, registry
from hwnorm.testing import CHECKS

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", PAGE, flags=re.MULTILINE))


def test_the_table_lists_every_operator():
    """Each registered operator has a row, in order, and no row is of anything else."""
    table = PAGE.partition("## One of your own")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == sorted(registry())


@pytest.mark.parametrize("name", sorted(registry()))
def test_the_class_docstring_has_the_form_of_the_table(name):
    """The first form in the table is the one that the code documents."""
    form = re.match(r"`([^`]*)`", ROWS[name])[1]
    assert f"``{form}``" in type(operator(name)).__doc__


def test_the_example_conforms(outside):
    """The operator on the page passes the suite as it stands there."""
    (code,) = re.findall(r"```python\n(.*?class Softsign.*?)```", PAGE, flags=re.DOTALL)
    exec(code, vars(outside))
    for check in CHECKS.values():
        check("softsign")
    assert parse("2*softsign(x)").kind == "mul"


def test_every_check_is_on_the_page():
    """The suite's table names each check that there is, in the order in which they run."""
    table = PAGE.partition("## The conformance suite")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == [*CHECKS, "renderings"]
