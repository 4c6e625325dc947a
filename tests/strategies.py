"""Hypothesis strategies that several tests share."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
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


#: Where x is in every test that draws expressions; there they keep to the operators' domains and
#: to values that doubles tell apart.
RANGE = (-8.0, 16.0)
LARGEST = 1e6


@st.composite
def limits(draw: st.DrawFn) -> list[float]:
    """The further arguments of a clip."""
    if draw(st.booleans()):
        return [draw(positive)]
    low = draw(numbers)
    return [low, low + draw(positive)]


@st.composite
def points(draw: st.DrawFn) -> list[float]:
    """The points of a pwl."""
    count = draw(st.integers(2, 7))
    x = draw(numbers)
    found = []
    for _ in range(count):
        found += [x, draw(numbers)]
        x += draw(st.integers(1, 32)) / 8
    return found


@st.composite
def tables(draw: st.DrawFn) -> list[float]:
    """The ends and values of a rom."""
    count, low = 1 << draw(st.integers(0, 4)), draw(st.integers(-16, 8)) / 4
    values = draw(st.lists(numbers, min_size=count, max_size=count))
    return [low, low + count * 2.0 ** draw(st.integers(-3, 2)), *values]


#: How the constants behind the signals of an operator are drawn; for one that is not here, they
#: are those of an example.
CONSTANTS: dict[str, st.SearchStrategy[list[float]]] = {
    "clip": limits(),
    "pwl": points(),
    "rom": tables(),
    "shift": st.integers(-4, 4).map(lambda places: [float(places)]),
}


def constants_of_examples(name: str) -> st.SearchStrategy[list[float]]:
    """The further constants of each use of an operator in its examples."""
    uses = [part for text in registry()[name].examples for part in parse(text).walk() if part.kind == name]
    fixed = registry()[name].constant_arguments
    return st.sampled_from([[arg.value for i, arg in enumerate(use.args) if i in fixed] for use in uses])


def stays_inside(expression: Expression) -> bool:
    """Whether x in RANGE keeps all operators within their domains, and all values small."""
    try:
        bounds = expression.intervals(RANGE)
    except InputError:
        return False
    return all(max(-low, high) < LARGEST for low, high in bounds.values())


def applied(name: str, signals: list[Expression], constants: list[float]) -> Expression | None:
    """The operator on those arguments, if that is possible."""
    try:
        made = apply(name, *signals, *(constant(c) for c in constants))
    except InputError:
        return None
    return made if stays_inside(made) else None


@st.composite
def operations(draw: st.DrawFn, name: str, arguments: st.SearchStrategy[Expression]) -> Expression:
    """An operator on any arguments; on positive, bounded ones where its domain asks for them."""
    op = registry()[name]
    signals = [draw(arguments) for position in range(op.arity[0]) if position not in op.constant_arguments]
    constants = draw(CONSTANTS[name] if name in CONSTANTS else constants_of_examples(name))
    tame = [apply("add", apply("min", apply("abs", s), constant(4.0)), constant(0.5)) for s in signals]
    made = applied(name, signals, constants) or applied(name, tame, constants)
    assume(made is not None)
    assert made is not None
    return made


def expressions(most: int = 8) -> st.SearchStrategy[Expression]:
    """Expressions of all registered operators, that have a value wherever x is in RANGE."""
    leaves = st.one_of(st.just(X), numbers.map(constant))
    names = st.sampled_from(sorted(registry()))
    return st.recursive(
        leaves, lambda inner: names.flatmap(lambda name: operations(name, inner)), max_leaves=most
    )
