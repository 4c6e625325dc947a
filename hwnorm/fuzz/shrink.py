"""Makes a failing case smaller, step by step, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, number_text, parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.case import Case

#: Candidates that are tried together, the smallest first: a build of them all is what costs.
_AT_ONCE = 16

#: Constants that a case is tried with in the place of its own.
_SIMPLE = (1.0, 2.0, 0.5, -1.0, 3.0, 0.25, -0.5)


def shrink(case: Case, same_failure: Callable[[Sequence[Case]], list[bool]]) -> Case:
    """The smallest case found by greedy steps.

    Args:
        case: which fails.
        same_failure: for each of some cases whether it fails in the same way.
    """
    while True:
        smaller = sorted({c for c in _neighbours(case) if _size(c) < _size(case)}, key=_size)
        for start in range(0, len(smaller), _AT_ONCE):
            some = smaller[start : start + _AT_ONCE]
            failing = [c for c, same in zip(some, same_failure(some), strict=True) if same]
            if failing:
                case = failing[0]
                break
        else:
            return case


def _size(case: Case) -> tuple[object, ...]:
    """What is made smaller, the most important first; every step lowers it, so that shrinking ends."""
    parts = list(_places(parse(case.expression)))
    constants = [number_text(part.value) for part in parts if part.is_constant]
    formats = FixedFormat.parse(case.input), FixedFormat.parse(case.output)
    return (
        len(parts),
        sum(map(len, constants)),
        sum(fmt.width for fmt in formats),
        sum(fmt.frac for fmt in formats),
        case.stream,
        case.lanes,
        case.fuse,
        case.clock_mhz,
        abs(case.max_error_ulp - 1.0),
        case.expression,
    )


def _neighbours(case: Case) -> Iterator[Case]:
    """Cases with one thing simpler."""
    yield replace(case, stream=False)
    yield replace(case, lanes=1)
    yield replace(case, fuse=False)
    yield replace(case, clock_mhz=50.0)
    yield replace(case, max_error_ulp=1.0)
    for expression in _simpler(parse(case.expression)):
        yield replace(case, expression=str(expression))
    for narrower in _narrower(case.input):
        yield replace(case, input=narrower)
    for narrower in _narrower(case.output):
        yield replace(case, output=narrower)


def _narrower(text: str) -> Iterator[str]:
    fmt = FixedFormat.parse(text)
    for width in {fmt.width // 2, fmt.width - 2, fmt.width - 1, fmt.width}:
        # The same value of the highest bit, the same value of the lowest, and fewer of both.
        for frac in {fmt.frac - (fmt.width - width), fmt.frac, fmt.frac - 1, fmt.frac // 2}:
            if width >= 2 and 0 <= frac <= width:
                yield str(replace(fmt, width=width, frac=frac))
    if not fmt.signed:
        yield str(replace(fmt, signed=True))


def _simpler(expression: Expression) -> Iterator[Expression]:
    """The expression with one of its parts replaced by an argument of it, by x or by a simpler number."""
    for part in dict.fromkeys(_places(expression)):
        if part.is_constant:
            tried = [constant(value) for value in (*_SIMPLE, float(round(part.value)), round(part.value, 2))]
        else:
            tried = [X, *part.args]
        for simple in tried:
            try:
                yield _with(expression, part, simple)
            except InputError:
                continue  # an operator does not take such an argument


def _places(expression: Expression) -> Iterator[Expression]:
    """Every subexpression, as often as it stands there."""
    yield expression
    for arg in expression.args:
        yield from _places(arg)


def _with(expression: Expression, part: Expression, other: Expression) -> Expression:
    """The expression with ``other`` wherever ``part`` stands."""
    if expression == part:
        return other
    if not expression.args:
        return expression
    return apply(expression.kind, *(_with(arg, part, other) for arg in expression.args))
