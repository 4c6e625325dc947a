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
from hwnorm.targets.cost import cell_costs, resources
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
    best: tuple[float, Datapath] | None = None
    least_error, tries_left = float("inf"), FURTHER_GUARD_BITS
    exact = reference(expression, input_format, output_format)
    if exact.min() == exact.max():
        raise InputError(
            f"{expression}: has one value over all codes of {input_format} to {output_format}; "
            "it must depend on x"
        )
    for guard in GUARD_BITS:
        try:
            builder = _build(expression, input_format, output_format, guard, exhaustive=True)
        except InputError:
            if guard == GUARD_BITS[0]:
                raise
            break  # no room for more guard bits; what was found with fewer stands
        certificate = _certify(builder, exact, input_format)
        least_error = min(least_error, certificate.max_error_ulp)
        if certificate.max_error_ulp < max_error_ulp:
            try:
                nodes, latency = _stage(builder, clock_mhz, target)
            except InputError:
                if best is None:
                    raise
                break  # wider cells miss the clock
            cost = resources(nodes, latency, target).cost
            if best is None or cost < best[0]:
                formats = input_format, output_format
                technology = target.name, clock_mhz
                best = cost, Datapath(str(expression), *formats, nodes, latency, *technology, certificate)
        if best is not None:
            if tries_left == 0:
                break
            tries_left -= 1
    if best is None:
        raise InputError(
            f"{expression}: the largest error is {least_error:.3g} ulp of {output_format} at best; "
            f"below {max_error_ulp:g} was asked for: allow more, or choose fewer fractional bits"
        )
    return best[1]


def sketch(
    expression: Expression,
    input_format: FixedFormat,
    output_format: FixedFormat,
    target: Target,
    clock_mhz: float,
) -> tuple[tuple[Node, ...], int]:
    """Scheduled cells and latency at a usual precision, bounded by intervals: quick, for the search.

    Two guard bits, as most kernels end up with; nothing is evaluated or certified.

    Raises:
        InputError: as :func:`lower` does.
    """
    builder = _build(expression, input_format, output_format, guard=2, exhaustive=False)
    return _stage(builder, clock_mhz, target)


def reference(expression: Expression, input_format: FixedFormat, output_format: FixedFormat) -> np.ndarray:
    """The expression at every input code, clamped to the output's range, in output steps (float64)."""
    exact = expression.numpy(input_format.to_float(input_format.codes()))
    return np.asarray(np.clip(exact, output_format.low, output_format.high) * 2.0**output_format.frac)


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


def _stage(builder: Builder, clock_mhz: float, target: Target) -> tuple[tuple[Node, ...], int]:
    nodes = _prune(builder.nodes)
    if not any(node.cell is Cell.INPUT for node in nodes):
        raise InputError(f"{nodes[-1].part}: has one value over all input codes; it must depend on x")
    return schedule(nodes, cell_costs(nodes, target), clock_mhz, target)


def _prune(nodes: list[Node]) -> list[Node]:
    """Only the nodes that the last one needs, renumbered."""
    needed = {len(nodes) - 1}
    for i in range(len(nodes) - 1, -1, -1):
        if i in needed:
            needed.update(nodes[i].args)
    position = {old: new for new, old in enumerate(sorted(needed))}
    return [replace(nodes[i], args=tuple(position[a] for a in nodes[i].args)) for i in sorted(needed)]
