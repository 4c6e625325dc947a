"""From an expression and formats to a datapath that meets an error bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwnorm.datapath.builder import Builder, Wire
from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.datapath.schedule import schedule
from hwnorm.errors import InputError
from hwnorm.expression import Expression
from hwnorm.fixed import FixedFormat
from hwnorm.operators import operator
from hwnorm.targets.cost import area, cell_costs
from hwnorm.targets.target import Target

#: Up to this input width every code is evaluated; wider inputs are refused.
EXHAUSTIVE_BITS = 16
#: Guard bits that are tried: fractional bits beyond the output's that the inside keeps.
GUARD_BITS = range(0, 13)
#: Once a number of guard bits meets the bound, so many more are tried for a smaller area.
FURTHER_GUARD_BITS = 2


def lower(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
    max_error_ulp: float = 1.0,
) -> Datapath:
    """The smallest datapath found whose largest error over all input codes is below the bound.

    Args:
        expression: what to compute; it must depend on x.
        input_format: at most 16 bits wide, so that every code can be evaluated.
        output_format: the result is rounded half up into it, and saturated.
        target: gives the cells' area and delay.
        clock_mhz: the pipeline is cut so that every stage fits its period.
        max_error_ulp: strict bound on \\|kernel - clamped expression\\|, in steps of the output.

    Raises:
        InputError: input too wide, no dependence on x, a signal too wide for 62 bits, a clock that
            the target cannot reach, or a bound that no tried precision meets.
    """
    if input_format.width > EXHAUSTIVE_BITS:
        raise InputError(
            f"input format {input_format}: {input_format.width} bits; "
            f"at most {EXHAUSTIVE_BITS} can be checked code by code in this version"
        )
    best: tuple[float, list[Node], Certificate] | None = None
    least_error, tries_left = float("inf"), FURTHER_GUARD_BITS
    exact = reference(expression, input_format, output_format)
    for guard in GUARD_BITS:
        builder = _build(expression, input_format, output_format, guard, exhaustive=True)
        certificate = _certify(builder, exact, input_format)
        least_error = min(least_error, certificate.max_error_ulp)
        if certificate.max_error_ulp < max_error_ulp:
            nodes = _prune(builder.nodes)
            size = area(cell_costs(nodes, target), target)
            if best is None or size < best[0]:
                best = size, nodes, certificate
        if best is not None:
            if tries_left == 0:
                break
            tries_left -= 1
    if best is None:
        raise InputError(
            f"{expression}: the largest error is {least_error:.3g} ulp of {output_format} at best; "
            f"below {max_error_ulp:g} was asked for: allow more, or choose fewer fractional bits"
        )
    _, nodes, certificate = best
    if not any(node.cell is Cell.INPUT for node in nodes):
        raise InputError(f"{expression}: has one value over all of {input_format}; it must depend on x")
    staged, latency = schedule(nodes, cell_costs(nodes, target), clock_mhz, target)
    return Datapath(
        str(expression), input_format, output_format, staged, latency, target.name, clock_mhz, certificate
    )


def sketch(expression: Expression, input_format: FixedFormat, output_format: FixedFormat) -> list[Node]:
    """The cells at a usual precision, bounded by intervals: quick enough for the search's cost.

    Two guard bits, as most kernels end up with; nothing is evaluated, scheduled or certified.
    """
    return _prune(_build(expression, input_format, output_format, guard=2, exhaustive=False).nodes)


def reference(expression: Expression, input_format: FixedFormat, output_format: FixedFormat) -> np.ndarray:
    """The expression at every input code, clamped to the output's range, in output steps (float64)."""
    exact = expression.numpy(input_format.to_float(input_format.codes()))
    return np.clip(exact, output_format.low, output_format.high) * 2.0**output_format.frac


def _build(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    guard: int,
    exhaustive: bool,
) -> Builder:
    builder = Builder(input_format, output_format.frac + guard, exhaustive)
    done: dict[Expression, Wire | float] = {}
    for part in expression.walk():
        if part.kind == "x":
            done[part] = builder.x
        elif part.is_constant:
            done[part] = part.value
        else:
            builder.begin(part.kind, str(part))
            wire = operator(part.kind).lower(builder, *(done[arg] for arg in part.args))  # type: ignore[arg-type]
            assert isinstance(wire, Wire)
            builder.finish(wire)
            done[part] = wire
    result = done[expression]
    if not isinstance(result, Wire):
        raise InputError(f"{expression}: a constant; the expression must depend on x")
    builder.output(result, output_format)
    return builder


def _certify(builder: Builder, exact: np.ndarray, input_format: FixedFormat) -> Certificate:
    """Compare the last node with the exact values (in output steps) over all codes."""
    output = builder.values(Wire(len(builder.nodes) - 1, 0, 0, 0))
    error = np.abs(output - exact)
    worst = int(error.argmax())
    return Certificate(
        max_error_ulp=float(error[worst]),
        mean_error_ulp=float(error.mean()),
        worst_code=worst + input_format.min_code,
        codes=len(exact),
    )


def _prune(nodes: list[Node]) -> list[Node]:
    """Only the nodes that the last one needs, renumbered."""
    needed = {len(nodes) - 1}
    for i in range(len(nodes) - 1, -1, -1):
        if i in needed:
            needed.update(nodes[i].args)
    position = {old: new for new, old in enumerate(sorted(needed))}
    return [replace(nodes[i], args=tuple(position[a] for a in nodes[i].args)) for i in sorted(needed)]
