"""Random kernels like those of a search: what a cost model is fitted to, and others that it is tested on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.csd import snap
from hwnorm.lowering.lower import lower, reference
from hwnorm.targets.target import Target

#: Widths of inputs and outputs, in bits.
WIDTHS = (8, 16)
#: A kernel whose results are fewer codes than this is no stand-in for a norm.
FEWEST_RESULTS = 16
_CLOCKS_MHZ = (100.0, 200.0, 300.0, 400.0)
_MOST_OPERATIONS = 8
#: Operators, and how often each is drawn; "scale" and "offset" are products and sums with a constant.
_OPERATORS = {
    "add": 3, "sub": 2, "mul": 1, "scale": 4, "offset": 2, "neg": 1, "abs": 1, "min": 1, "max": 1,
    "clip": 3, "square": 1, "tanh": 2, "sigmoid": 1, "erf": 1, "hardtanh": 1, "relu": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """What is to be lowered: an expression, formats, a clock, and whether parts of it may be fused."""

    expression: str
    input: FixedFormat
    output: FixedFormat
    clock_mhz: float
    fuse: bool

    def lower(self, target: Target) -> Datapath:
        """The datapath on a target, at the sample's clock or the fastest of halves of it that can be had.

        Raises:
            InputError: it cannot be built.
        """
        clock = self.clock_mhz
        while True:
            try:
                return lower(parse(self.expression), self.input, self.output, target, clock, fuse=self.fuse)
            except InputError as error:
                if "clock" not in str(error) or clock < 2:
                    raise
                clock /= 2


def draw_sample(seed: int, index: int) -> Sample:
    """Sample ``index`` of the sequence that ``seed`` names: the same whatever else is drawn.

    Inputs reach 2 to 16, as those of norms do; the output's format holds the values, or clamps some.
    """
    rng = np.random.default_rng([seed, index])
    while True:
        width, out_width = (int(rng.integers(WIDTHS[0], WIDTHS[1] + 1)) for _ in range(2))
        input_format = FixedFormat(width, width - 1 - int(rng.integers(1, 5)))
        expression = _expression(rng, int(rng.integers(1, _MOST_OPERATIONS + 1)))
        values = expression.values(input_format.to_float(input_format.codes()))
        largest = float(np.max(np.abs(values[expression]), initial=2.0**-8))
        if (
            expression.is_constant
            or largest > 64
            or any(_is_idle(part, values) for part in expression.walk())
        ):
            continue
        integer_bits = math.ceil(math.log2(largest) + 1e-9) + int(rng.choice((0, 0, 0, -1)))
        output_format = FixedFormat(out_width, min(out_width - 1 - integer_bits, 14))
        results = np.unique(np.round(reference(expression, input_format, output_format)))
        if len(results) >= FEWEST_RESULTS:
            break
    return Sample(
        str(expression), input_format, output_format, float(rng.choice(_CLOCKS_MHZ)), bool(rng.random() < 0.5)
    )


def _is_idle(part: Expression, values: Mapping[Expression, np.ndarray]) -> bool:
    """Whether an operator changes nothing at any code, or a sum holds a term twice, or it and its negative.

    Nobody builds relu(abs(x)), x + (y - x) or x + (y + x), and synthesis does not either.
    """
    if any(np.all(values[part] == values[arg]) for arg in part.args):
        return True
    terms = _terms(part, 1.0)
    return any(a == b and abs(f) == abs(g) for (f, a), (g, b) in combinations(terms, 2))


def _terms(part: Expression, factor: float) -> list[tuple[float, Expression]]:
    """The terms of nested sums, each with its factor."""
    match part:
        case Expression(kind="add", args=(a, b)):
            return _terms(a, factor) + _terms(b, factor)
        case Expression(kind="sub", args=(a, b)):
            return _terms(a, factor) + _terms(b, -factor)
        case Expression(kind="neg", args=(a,)):
            return _terms(a, -factor)
        case Expression(kind="mul", args=(a, b)) if a.is_constant:
            return _terms(b, factor * a.value)
    return [] if part.is_constant else [(factor, part)]


def _expression(rng: np.random.Generator, operations: int) -> Expression:
    """An expression of about so many operations."""
    if operations <= 0:
        return X
    names, shares = list(_OPERATORS), np.array(list(_OPERATORS.values()), dtype=float)
    name = str(rng.choice(names, p=shares / shares.sum()))
    if name in ("add", "sub", "mul", "min", "max"):
        count = int(rng.integers(0, operations))
        left, right = _expression(rng, count), _expression(rng, operations - 1 - count)
        while left == right:  # nobody builds min(x, x)
            right = _expression(rng, 2)
        return apply(name, left, right)
    inner = _expression(rng, operations - 1)
    size = snap(float(np.exp(rng.uniform(np.log(1 / 8), np.log(4.0)))), int(rng.integers(1, 4)))
    match name:
        case "scale":
            return apply("mul", constant(size * float(rng.choice((-1.0, 1.0)))), inner)
        case "offset":
            return apply("add", inner, constant(size * float(rng.choice((-1.0, 1.0)))))
        case "clip":
            return apply("clip", inner, constant(size))
    return apply(name, inner)
