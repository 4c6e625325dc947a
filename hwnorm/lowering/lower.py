"""From an expression and formats to a datapath that meets an error bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwnorm.cost.cost import Resources, delays, resources
from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.errors import InputError
from hwnorm.expression import Expression, outermost
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.builder import UNIT_ERROR, Builder
from hwnorm.lowering.schedule import schedule
from hwnorm.lowering.wire import Wire
from hwnorm.operators import operator
from hwnorm.operators.base import Interval
from hwnorm.piecewise.design import Limited
from hwnorm.rounding import decimals, nearest
from hwnorm.targets.target import Target

#: Up to this input width every code is evaluated; wider inputs get a proven bound.
EXHAUSTIVE_BITS = 16
#: Guard bits: fractional bits beyond the output's that the inside keeps. From 0 to these are tried.
MOST_GUARD_BITS = 12
#: Errors are told in these steps, in ulp of the output: the last digits of exp differ between machines.
ERROR_STEP = 2.0**-30
#: Once a number of guard bits meets the bound, so many more are tried for a smaller area.
FURTHER_GUARD_BITS = 2
#: Guard bits as most kernels end up with: covers are compared at these.
USUAL_GUARD_BITS = 2

#: Covers are compared over so many of the input's highest bits: what they cost differs little, and the
#: cover that is picked is built for all bits.
COARSE_BITS = 12

#: A cover is worked out if its price at these is less than so many times the cost of one whole unit.
NEARLY = 1.25

#: The parts of an expression that piecewise units of x compute; what is below them falls away.
Cover = frozenset[Expression]


def lower(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
    max_error_ulp: float = 1.0,
    fuse: bool = True,
) -> Datapath:
    """The smallest datapath found whose largest error over all input codes is below the bound.

    Args:
        expression: what to compute; it must depend on x.
        input_format: up to 16 bits wide the error is that of every code; beyond, it is bounded.
        output_format: the result is rounded half up into it, and saturated.
        target: gives the cells' area and delay.
        clock_mhz: the pipeline is cut so that every stage fits its period.
        max_error_ulp: strict bound on \\|kernel - clamped expression\\|, in steps of the output; at
            0.5, correctly rounded, a tie counts as met.
        fuse: let piecewise units of x stand for parts of the expression, or for all of it, where that
            costs less than the operators.

    Raises:
        InputError: no dependence on x, an argument outside its operator's domain, a signal too wide
            for 62 bits, a clock that the target cannot reach, or a bound that nothing tried meets.
    """
    exhaustive = input_format.width <= EXHAUSTIVE_BITS
    problem = _Problem(expression, input_format, output_format, target, clock_mhz, max_error_ulp, exhaustive)
    problem.check()
    if not fuse:
        return problem.datapath(problem.solve(Cover()))
    found = problem.whole()
    cover, price = problem.coarse().cheapest_cover()
    if not found or price < NEARLY * min(solution.cost for solution in found):
        try:
            found.append(problem.solve(cover))
        except InputError:
            if not found and not cover:
                raise
    if not found:
        found.append(problem.solve(Cover()))
    return problem.datapath(min(found, key=lambda solution: solution.cost))


def unfused_resources(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
    max_error_ulp: float = 1.0,
) -> Resources | None:
    """What the operators as written take, to hold beside a fused datapath; None if they cannot be built."""
    formats = input_format, output_format
    try:
        plain = lower(expression, *formats, target, clock_mhz, max_error_ulp, fuse=False)
    except InputError:
        return None
    return resources(plain.nodes, plain.latency, target)


def sketch(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
) -> tuple[tuple[Node, ...], int]:
    """Scheduled cells and latency at a usual precision, bounded by intervals: quick, for the search.

    Nothing is fused, evaluated or certified.

    Raises:
        InputError: as :func:`lower` does.
    """
    problem = _Problem(expression, input_format, output_format, target, clock_mhz, 1.0, exhaustive=False)
    return problem.scheduled(problem.build(Cover(), USUAL_GUARD_BITS))


def sketch_unit(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
) -> tuple[tuple[Node, ...], int]:
    """Scheduled cells and latency of one unit for the whole expression, for the search.

    It is designed as :func:`lower` does, but on the input's highest bits alone: what it costs differs
    little.

    Raises:
        InputError: the expression is constant or not finite, or no table is large enough.
    """
    problem = _Problem(expression, input_format, output_format, target, clock_mhz, 1.0, exhaustive=True)
    problem = problem.coarse()
    problem.check()
    found = problem.whole(both=False)
    if not found:
        raise InputError(f"{expression}: no unit within 1 ulp of {output_format}")
    return found[0].nodes, found[0].latency


def pipelined(datapath: Datapath, target: Target, clock_mhz: float) -> Datapath:
    """The same function in every bit, cut into stages for another target or clock.

    Raises:
        InputError: one cell alone is slower than the clock on this target; names it.
    """
    nodes, latency = schedule(datapath.nodes, delays(datapath.nodes, target), clock_mhz, target)
    return replace(datapath, nodes=nodes, latency=latency, target=target.name, clock_mhz=clock_mhz)


def reference(expression: Expression, input_format: FixedFormat, output_format: FixedFormat) -> np.ndarray:
    """The expression at every input code, clamped to the output's range, in output steps (float64)."""
    exact = expression.numpy(input_format.to_float(input_format.codes()))
    return np.asarray(np.clip(exact, output_format.low, output_format.high) * 2.0**output_format.frac)


@dataclass(frozen=True)
class _Solution:
    """A scheduled datapath that meets the bound."""

    nodes: tuple[Node, ...]
    latency: int
    certificate: Certificate
    cost: float


@dataclass(frozen=True)
class _Problem:
    """What to lower, and the steps of doing so."""

    expression: Expression
    input: FixedFormat
    output: FixedFormat
    target: Target
    clock_mhz: float
    max_error_ulp: float
    #: Whether every code is tried; else intervals and error bounds are what is known.
    exhaustive: bool

    @cached_property
    def exact(self) -> np.ndarray:
        """The clamped expression at every code, in output steps."""
        return reference(self.expression, self.input, self.output)

    @cached_property
    def ranges(self) -> dict[Expression, Interval]:
        """For each part an interval that holds its values: the narrowest one if every code is tried."""
        if not self.exhaustive:
            return self.expression.intervals((self.input.low, self.input.high))
        values = self.expression.values(self.input.to_float(self.input.codes()))
        return {part: (float(np.min(v)), float(np.max(v))) for part, v in values.items()}

    def check(self) -> None:
        """Refuse what has no datapath at all.

        Raises:
            InputError: the expression is constant, or an argument leaves its operator's domain.
        """
        if not self.max_error_ulp > 0:
            raise InputError(f"error {self.max_error_ulp:g} ulp: it must be positive")
        for part in self.expression.walk():
            if part.args:
                try:
                    operator(part.kind).interval(*(self.ranges[arg] for arg in part.args))
                except InputError as error:
                    raise InputError(f"{part}: {error}") from None
            if not all(map(math.isfinite, self.ranges[part])):
                raise InputError(f"{part}: its values are not finite over {self.input}")
        if self.expression.is_constant or (self.exhaustive and self.exact.min() == self.exact.max()):
            raise InputError(
                f"{self.expression}: has one value over all codes of {self.input} to {self.output}; "
                "it must depend on x"
            )
        if self.exhaustive and not self.meets(least := self.least_error):
            raise self.unmet(least)

    @property
    def least_error(self) -> float:
        """The largest error of results that are all rounded correctly, if every code is tried."""
        return float(nearest(np.abs(np.rint(self.exact) - self.exact), ERROR_STEP).max())

    def unmet(self, error_ulp: float, more: str = "") -> InputError:
        """That an error is the least there is, and above the bound; told in as many digits as show it."""
        bound = self.max_error_ulp
        least = decimals(error_ulp, 3, (bound, 0.5)).rstrip("0").rstrip(".")
        return InputError(
            f"{self.expression}: the largest error is {least} ulp of {self.output} at best; below {bound:g} "
            f"was asked for: allow more, or choose fewer fractional bits{more}"
        )

    def coarse(self) -> _Problem:
        """The problem over the highest COARSE_BITS of the input, if every code is tried."""
        drop = self.input.width - COARSE_BITS
        if not self.exhaustive or drop <= 0:
            return self
        return replace(self, input=replace(self.input, width=COARSE_BITS, frac=self.input.frac - drop))

    # --- covers --------------------------------------------------------------------------------------

    def whole(self, both: bool = True) -> list[_Solution]:
        """The whole expression as one unit of x, clamped to the output's range inside it or behind it.

        Without ``both``, inside it alone: mostly the cheaper way.
        """
        found = []
        least, most = self.ranges[self.expression]
        ways = [(self.output.low, self.output.high)]
        if both and (least < self.output.low or most > self.output.high):
            ways.append((-math.inf, math.inf))
        for limits in ways:
            builder = Builder(self.input, self.output.frac, self.exhaustive)
            builder.begin("unit", str(self.expression))
            function = Limited(self.expression, range=limits)
            try:
                wire = builder.function_of_x(function, self.output.frac, self.max_error_ulp)
                wire = builder.finish(wire, limits, str(self.expression))
                builder.output(wire, self.output)
                found.append(self.solution(builder))
            except InputError:
                continue  # too many codes, or too wide: the operators may do
        return [solution for solution in found if self.meets(solution.certificate.max_error_ulp)]

    def cheapest_cover(self) -> tuple[Cover, float]:
        """Parts to fuse, added one by one, each time the one that saves most; and what they cost."""
        parts = [part for part in self.expression.walk() if part.args and part != self.expression]
        cover, cost = Cover(), self.price(Cover())
        while True:
            offers = [(self.price(cover | {part}), n) for n, part in enumerate(parts) if part not in cover]
            least, n = min(offers, default=(math.inf, -1))
            if not least < cost:
                return cover, cost
            cover, cost = cover | {parts[n]}, least

    def price(self, cover: Cover) -> float:
        """Cost of a cover at a usual precision; infinite if it cannot be built."""
        try:
            builder = self.build(cover, USUAL_GUARD_BITS)
            return resources(*self.scheduled(builder), self.target).cost
        except InputError:
            return math.inf

    # --- one cover -------------------------------------------------------------------------------------

    def solve(self, cover: Cover) -> _Solution:
        """The smallest solution over the numbers of guard bits.

        Raises:
            InputError: none meets the bound, or the first cannot be built.
        """
        best: _Solution | None = None
        least_error, tries_left, beyond = math.inf, FURTHER_GUARD_BITS, ""
        guard = 0
        while guard <= MOST_GUARD_BITS:
            error = math.inf
            try:
                builder = self.build(cover, guard)
                error = self.certificate(builder).max_error_ulp
                least_error = min(least_error, error)
                if self.meets(error):
                    solution = self.solution(builder)
                    best = min(best or solution, solution, key=lambda s: s.cost)
            except InputError as refused:
                if best is None and (guard == 0 or self.meets(least_error)):
                    raise
                beyond = f" ({refused})"
                break  # no room for more guard bits, or wider cells miss the clock
            if best is not None:
                if tries_left == 0:
                    break
                tries_left -= 1
            # A guard bit halves an error at best: those that cannot do are left out.
            guard += 1 if best else max(1, int(math.log2(min(error, 2.0**60) / self.max_error_ulp)))
        if best is None:
            raise self.unmet(min(least_error, self.error_at_most(cover)), beyond)
        return best

    def error_at_most(self, cover: Cover) -> float:
        """The error with as many guard bits as there is room for."""
        for guard in range(MOST_GUARD_BITS, 0, -1):
            try:
                return self.certificate(self.build(cover, guard)).max_error_ulp
            except InputError:
                continue
        return math.inf

    def meets(self, error_ulp: float) -> bool:
        """Whether an error is below the bound; half a step, a tie, is as near as a result can be."""
        return error_ulp < self.max_error_ulp or error_ulp <= 0.5 <= self.max_error_ulp

    def build(self, cover: Cover, guard: int) -> Builder:
        """The cells of a cover."""
        builder = Builder(self.input, self.output.frac + guard, self.exhaustive)
        made: dict[Expression, Wire | float] = {}

        def make(part: Expression) -> Wire | float:
            if part not in made:
                made[part] = value(part)
            return made[part]

        def value(part: Expression) -> Wire | float:
            if part.kind == "x":
                return builder.x
            if part.is_constant:
                return part.value
            if part in cover:
                purpose = str(part)
                builder.begin("unit", purpose)
                wire = builder.function_of_x(part, builder.frac, UNIT_ERROR)
            else:
                args = [make(arg) for arg in part.args]
                signals = zip(part.args, args, strict=True)
                names = {part: builder.called(arg) for part, arg in signals if isinstance(arg, Wire)}
                purpose = outermost(part, names)
                if part == self.expression and any(arg.args for arg in part.args):
                    purpose = f"f(x) = {purpose}"
                builder.begin(part.kind, str(part))
                lowered = operator(part.kind).lower(builder, *args)  # type: ignore[arg-type]
                assert isinstance(lowered, Wire)
                wire = lowered
            return builder.finish(wire, self.ranges[part], purpose)

        result = make(self.expression)
        if not isinstance(result, Wire):
            raise InputError(f"{self.expression}: a constant; the expression must depend on x")
        builder.output(result, self.output)
        return builder

    def certificate(self, builder: Builder) -> Certificate:
        """Of a builder's last node: its distance from the exact values, or the bound of it."""
        output = builder.last
        codes = 1 << self.input.width
        if not self.exhaustive:
            bound = float(np.ceil(output.error * 2.0**self.output.frac / ERROR_STEP)) * ERROR_STEP
            return Certificate(bound, None, None, codes, exhaustive=False)
        error = nearest(np.abs(builder.values(output) - self.exact), ERROR_STEP)
        worst = int(error.argmax())
        mean = float(nearest(error.mean(), ERROR_STEP))
        return Certificate(float(error[worst]), mean, worst + self.input.min_code, codes, exhaustive=True)

    def scheduled(self, builder: Builder) -> tuple[tuple[Node, ...], int]:
        nodes = _prune(builder.nodes)
        if not any(node.cell is Cell.INPUT for node in nodes):
            raise InputError(f"{nodes[-1].part}: has one value over all input codes; it must depend on x")
        return schedule(nodes, delays(nodes, self.target), self.clock_mhz, self.target)

    def solution(self, builder: Builder) -> _Solution:
        nodes, latency = self.scheduled(builder)
        cost = resources(nodes, latency, self.target).cost
        return _Solution(nodes, latency, self.certificate(builder), cost)

    def datapath(self, solution: _Solution) -> Datapath:
        return Datapath(
            str(self.expression),
            self.input,
            self.output,
            solution.nodes,
            solution.latency,
            self.target.name,
            self.clock_mhz,
            solution.certificate,
        )


def _prune(nodes: list[Node]) -> list[Node]:
    """Only the nodes that the last one needs, renumbered."""
    needed = {len(nodes) - 1}
    for i in range(len(nodes) - 1, -1, -1):
        if i in needed:
            needed.update(nodes[i].args)
    position = {old: new for new, old in enumerate(sorted(needed))}
    return [replace(nodes[i], args=tuple(position[a] for a in nodes[i].args)) for i in sorted(needed)]
