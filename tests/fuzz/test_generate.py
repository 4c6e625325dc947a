from __future__ import annotations

from collections import Counter

import pytest

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.case import Case
from hwnorm.fuzz.generate import draw_case
from hwnorm.operators import registry

CASES = [draw_case(5, index) for index in range(400)]


def test_a_case_depends_on_seed_and_index_alone():
    """Drawn alone it is the same as in the sequence; another seed gives others."""
    assert draw_case(5, 321) == CASES[321]
    assert draw_case(6, 321) != CASES[321]


def test_every_operator_is_drawn():
    """All of the registry, none rarely."""
    parts = Counter(part.kind for case in CASES for part in parse(case.expression).walk())
    assert set(registry()) <= set(parts)


def test_formats_and_depths_are_those_promised():
    """4 to 24 bits on both sides, some of them unsigned; expressions from one operation up to many."""
    for column in ("input", "output"):
        widths = {FixedFormat.parse(getattr(case, column)).width for case in CASES}
        assert min(widths) == 4
        assert 22 <= max(widths) <= 24
        signs = Counter(FixedFormat.parse(getattr(case, column)).signed for case in CASES)
        assert 0.05 < signs[False] / len(CASES) < 0.3
    operations = [sum(bool(part.args) for part in parse(case.expression).walk()) for case in CASES]
    assert min(operations) == 1
    assert max(operations) >= 10


def test_a_case_survives_json():
    """What a failure's file holds is the case itself."""
    for case in CASES[:20]:
        assert Case.from_json(case.to_json()) == case


def test_a_damaged_case_is_named():
    """A missing field and a wrong type are user errors."""
    data = CASES[0].to_json()
    with pytest.raises(InputError, match="its fields must be"):
        Case.from_json({name: data[name] for name in data if name != "lanes"})
    with pytest.raises(InputError, match="field 'lanes' is 'two'; int was expected"):
        Case.from_json(data | {"lanes": "two"})
