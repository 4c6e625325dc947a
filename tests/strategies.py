"""Hypothesis strategies that several tests share."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant
from hwnorm.fixed import FixedFormat
from hwnorm.operators import registry

#: Constants as people write them and as a search finds them; positive ones serve as limits.
positive = st.one_of(st.integers(1, 32).map(lambda n: n / 8), st.floats(0.01, 4.0))
numbers = st.one_of(positive, positive.map(lambda v: -v), st.just(0.0))


@st.composite
def formats(
    draw: st.DrawFn, widths: tuple[int, int] = (2, 20), fracs: tuple[int, int] = (-3, 12)
) -> FixedFormat:
    """A signal's format."""
    return FixedFormat(draw(st.integers(*widths)), draw(st.integers(*fracs)))


@st.composite
def _operations(draw: st.DrawFn, arguments: st.SearchStrategy[Expression]) -> Expression:
    name = draw(st.sampled_from(sorted(registry())))
    op = registry()[name]
    count = draw(st.integers(*op.arity))
    args = [
        constant(draw(positive)) if position in op.constant_arguments else draw(arguments)
        for position in range(count)
    ]
    try:
        return apply(name, *args)
    except InputError:
        assume(False)
        raise


def expressions(operations: int = 8) -> st.SearchStrategy[Expression]:
    """Expressions of all registered operators."""
    leaves = st.one_of(st.just(X), numbers.map(constant))
    return st.recursive(leaves, _operations, max_leaves=operations)
