"""Random cases: expressions of all registered operators in random formats, most of which can be built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.case import Case
from hwnorm.operators import registry
from hwnorm.operators.base import Interval, Operator

T = TypeVar("T")

#: Every so many cases one goes through the stream checks of a whole package.
STREAM_EVERY = 25

_MOST_OPERATIONS = 14
_MOST_DEPTH = 8
_MOST_LANES = 4
#: Values beyond this are clipped: what is squared again and again outgrows every format.
_LARGEST = 64.0
#: Widths of inputs, and the share of the cases that has them.
_WIDTHS = ((4, 10), (10, 17), (17, 25))
_SHARES = (0.7, 0.2, 0.1)
#: So often a port is unsigned.
_UNSIGNED = 0.2
_TARGET = "xcup"
_CLOCKS = (50.0, 100.0, 200.0, 250.0, 300.0)
_BOUNDS = (0.75, 1.0, 1.0, 1.0, 2.0, 4.0)
#: Attempts at one application before its argument stands alone.
_TRIES = 6


def draw_case(seed: int, index: int) -> Case:
    """Case ``index`` of the sequence that ``seed`` names: the same whatever else is drawn."""
    rng = np.random.default_rng([seed, index])
    # Few inputs are wide: each of their codes costs time, and most of the logic is alike.
    widths = _WIDTHS[int(rng.choice(len(_WIDTHS), p=_SHARES))]
    width = int(rng.integers(*widths))
    unsigned = np.random.default_rng([seed, index, 1]).random(2) < _UNSIGNED
    input_format = FixedFormat(width, int(rng.integers(max(0, width - 6), width)), not unsigned[0])
    output_format = input_format
    expression = X
    while expression.kind == "x" or _is_flat(expression, input_format, output_format):
        drawing = _Drawing(rng, (input_format.low, input_format.high))
        expression = drawing.expression(int(rng.integers(1, _MOST_OPERATIONS + 1)), _MOST_DEPTH)
        output_format = _output_format(rng, drawing.interval(expression))
        if unsigned[1] and drawing.interval(expression)[1] > 0:
            output_format = replace(output_format, signed=False)
    return Case(
        expression=str(expression),
        input=str(input_format),
        output=str(output_format),
        target=_TARGET,
        clock_mhz=float(rng.choice(_CLOCKS)),
        max_error_ulp=float(rng.choice(_BOUNDS)),
        # Fused units hide the cells of the operators that they stand for.
        fuse=bool(rng.random() < 0.25),
        stream=index % STREAM_EVERY == 0,
        lanes=int(rng.integers(1, _MOST_LANES + 1)),
    )


def _is_flat(expression: Expression, input_format: FixedFormat, output_format: FixedFormat) -> bool:
    """Whether all of many codes give the same result, which hwnorm refuses."""
    codes = np.linspace(input_format.min_code, input_format.max_code, 257).round()
    results = output_format.quantize(expression.numpy(input_format.to_float(codes)))
    return bool(results.min() == results.max())


def _output_format(rng: np.random.Generator, values: Interval) -> FixedFormat:
    """A format that holds the values, or now and then is too small for them and saturates."""
    largest = max(abs(values[0]), abs(values[1]), 2.0**-8)
    integer_bits = max(1, math.ceil(math.log2(largest) + 1e-9) + 1)
    integer_bits = max(1, integer_bits + int(rng.choice((-2, -1, 0, 0, 0, 0, 1, 2))))
    # Mostly few fractional bits: what many of them ask for is large tables.
    frac = int(rng.integers(0, 8) if rng.random() < 0.8 else rng.integers(8, 15))
    width = max(4, integer_bits + frac)
    if rng.random() < 0.15:
        width = max(width, int(rng.integers(4, 25)))  # bits before the point that nothing reaches
    width = min(width, 24)
    return FixedFormat(width, min(frac, max(0, width - integer_bits)))


class _Drawing:
    """Draws expressions for x in an interval; ``parts`` are subexpressions that may be used again."""

    def __init__(self, rng: np.random.Generator, x: Interval) -> None:
        self.rng = rng
        self.x = x
        self.parts: list[Expression] = [X]

    def interval(self, expression: Expression) -> Interval:
        """An interval that holds the values; InputError outside an operator's domain."""
        return expression.intervals(self.x)[expression]

    def expression(self, operations: int, depth: int) -> Expression:
        """An expression of about so many operations, nested no deeper than ``depth``."""
        if operations == 0 or depth == 0:
            return self._one_of(self.parts) if self.rng.random() < 0.2 else X
        if operations > 1 and self.rng.random() < 0.05:
            return self._one_of(self.parts)
        op = self._one_of(list(registry().values()))
        inner = self._guarded_operation(op, operations - 1, depth - 1)
        self.parts.append(inner)
        return inner

    def _guarded_operation(self, op: Operator, operations: int, depth: int) -> Expression:
        """``op`` on arguments that lie in its domain; its values bounded."""
        example = self._example(op)
        if example is not None:
            drawn = [self.expression(operations, depth)]
        else:
            places = [p for p in range(self._count(op)) if p not in op.constant_arguments]
            # One argument must be a signal; others may be numbers.
            signals = [p for p in places if self.rng.random() < 0.75] or [self._one_of(places)]
            shares = np.diff(
                [0, *sorted(self.rng.integers(operations + 1, size=len(signals) - 1)), operations]
            )
            drawn = [self.expression(int(share), depth) for share in shares]
        for attempt in range(_TRIES):
            try:
                if example is not None:
                    made = example.at(drawn[0])
                else:
                    made = self._apply(op, dict(zip(signals, drawn, strict=True)), max(places) + 1)
                return self._bounded(made)
            except InputError:
                # Outside the domain: positive numbers away from zero suit most partial functions.
                if attempt == 1:
                    drawn = [self._positive(argument) for argument in drawn]
        return drawn[0]

    def _count(self, op: Operator) -> int:
        least, most = op.arity
        return int(self.rng.integers(least, min(most, least + 3) + 1))

    def _example(self, op: Operator) -> Expression | None:
        """How the operator itself says that it is used, for those whose arguments must fit together."""
        examples: Sequence[str] = getattr(op, "examples", ())
        if not examples or (self.rng.random() < 0.4 and len(op.constant_arguments) < 2):
            return None
        return parse(self._one_of(examples))

    def _apply(self, op: Operator, signals: dict[int, Expression], count: int) -> Expression:
        count = max(count, op.arity[0])
        return apply(op.name, *(signals.get(p) or constant(self.number()) for p in range(count)))

    def _positive(self, expression: Expression) -> Expression:
        return apply("add", apply("abs", expression), constant(abs(self.number()) + 0.0625))

    def _bounded(self, expression: Expression) -> Expression:
        low, high = self.interval(expression)
        if max(-low, high) <= _LARGEST:
            return expression
        return apply("clip", expression, constant(abs(self.number()) + 0.5))

    def number(self) -> float:
        """A constant other than zero, as people write them and as a search finds them."""
        match int(self.rng.integers(5)):
            case 0:
                value = float(self.rng.integers(1, 5))
            case 1:
                value = float(self.rng.integers(1, 64)) * 2.0 ** -int(self.rng.integers(1, 7))
            case 2:
                value = 2.0 ** int(self.rng.integers(-6, 4))
            case 3:
                value = round(float(self.rng.uniform(0.01, 3.0)), 2)
            case _:
                value = float(np.exp(self.rng.normal(0.0, 1.0)))
        return -value if self.rng.random() < 0.4 else value

    def _one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.rng.integers(len(choices)))]
