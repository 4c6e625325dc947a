from __future__ import annotations

from hwnorm.fuzz.case import Case
from hwnorm.fuzz.shrink import shrink

CASE = Case(
    expression="max(0.37*tanh(square(x) - 1.25), x) + clip(x*sigmoid(x), 2.61)",
    input="s14f9",
    output="s17f11",
    target="xcup",
    clock_mhz=250.0,
    max_error_ulp=2.0,
    fuse=True,
    stream=True,
    lanes=3,
)


def smallest(fails) -> Case:
    return shrink(CASE, lambda cases: [fails(case) for case in cases])


def test_what_does_not_matter_goes():
    """A failure of anything with a tanh ends at tanh(x), with everything else as simple as it gets."""
    found = smallest(lambda case: "tanh" in case.expression)
    assert found.expression == "tanh(x)"
    assert (found.input, found.output) == ("s2f0", "s2f0")
    assert (found.stream, found.lanes, found.fuse, found.max_error_ulp) == (False, 1, False, 1.0)


def test_what_matters_stays():
    """Operators, a number and formats that a failure needs are still there."""
    found = smallest(lambda case: "clip(" in case.expression and case.lanes == 3 and case.input == "s14f9")
    assert found.expression == "clip(x, 1)"
    assert (found.input, found.lanes) == ("s14f9", 3)


def test_a_case_that_only_fails_as_it_is_stays():
    """Nothing smaller fails: the case itself comes back."""
    assert smallest(lambda case: False) == CASE
