"""The cells of a piecewise unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnorm.datapath.ir import Cell
from hwnorm.fixed import FixedFormat
from hwnorm.piecewise.design import Unit
from hwnorm.piecewise.segments import DSP_LUTS, product_luts

if TYPE_CHECKING:
    from hwnorm.lowering.builder import Builder
    from hwnorm.lowering.wire import Wire


def piecewise(build: Builder, a: Wire, unit: Unit, frac: int) -> Wire:
    """Fold and saturate ``a``, look the segment up, go along it; a result of ``frac`` fractional bits."""
    u, complement = a, unit.fold != "none" and not unit.magnitude
    sign = build.sign(a) if unit.fold == "odd" or complement else a
    if unit.fold != "none" and unit.magnitude:
        u = build.abs(u)
    if unit.floated is None:
        u = build.resize(u, u.frac - unit.drop)
    if complement:
        u = _complemented(build, u, sign, "folded")
    if unit.saturate is not None:
        signed = unit.fold == "none" and u.low < 0
        bits = unit.saturate - (unit.drop if unit.floated is None else 0)
        fmt = FixedFormat(bits + (not signed), u.frac)
        u = build.cell(Cell.RESIZE, (u,), "saturated", overflow="sat", fmt=fmt)
    if unit.floated is not None:
        u = build.cell(Cell.FLOAT_CODE, (u,), "float", parameter=unit.floated)
        u = build.resize(u, -unit.drop)
    base = "value at the segment's start" if unit.slope else "value"
    value = _table(build, u, unit.low_bits, unit.base, frac + unit.guard, "base", base)
    if unit.slope:
        value = build.add(value, _rise(build, u, unit, frac + unit.guard))
    if unit.fold == "odd":
        value = _complemented(build, value, sign, "signed")
        if unit.centre:
            purpose = "the middle that the function is odd about"
            centre = build.cell(
                Cell.CONSTANT, (), "centre", frac=value.frac, parameter=unit.centre, purpose=purpose
            )
            value = build.add(value, centre)
    return build.resize(value, frac)


def _rise(build: Builder, u: Wire, unit: Unit, frac: int) -> Wire:
    """What the slope of u's segment adds up to at its offset; ``frac`` fractional bits."""
    low = unit.low_bits
    purpose = f"offset in the segment, {low} bit{'s' if low > 1 else ''} of {build.called(u)}"
    offset = build.cell(Cell.LOW_BITS, (u,), "offset", parameter=low, purpose=purpose)
    # The offset counts codes of u: as an integer it leaves the slope's binary point where it is.
    offset = build.shift(offset, offset.frac)
    slope_frac = frac + unit.slope_shift
    slope = _table(build, u, low, unit.slope, slope_frac, "slope", "slope of the segment")
    if unit.curve:
        frac_of_curve = slope_frac + unit.curve_shift
        curve = _table(build, u, low, unit.curve, frac_of_curve, "curve", "curvature of the segment")
        bend = build.resize(_product(build, curve, offset, low), slope_frac)
        slope = build.add(slope, bend)
    return build.resize(_product(build, slope, offset, low), frac)


def _product(build: Builder, a: Wire, offset: Wire, bits: int) -> Wire:
    """``a`` times an offset of so many bits: rows of gated additions, or a multiplier if that is large.

    Synthesis takes a DSP block for any product that it finds; rows are a LUT a bit.
    """
    if product_luts(FixedFormat.holding(a.low, a.high, 0).width, bits) > DSP_LUTS:
        return build.mul(a, offset)
    total: Wire | None = None
    for bit in range(bits):  # from low to high, so that the low bits of each sum are wires
        row = build.cell(Cell.GATE, (a, offset), f"row{bit}", parameter=bit)
        row = build.shift(row, bit)
        total = row if total is None else build.add(total, row)
    assert total is not None
    return total


def _complemented(build: Builder, value: Wire, sign: Wire, role: str) -> Wire:
    """The complement of ``value`` where ``sign`` is negative."""
    return build.cell(Cell.COMPLEMENT_IF, (value, sign), role)


def _table(
    build: Builder, a: Wire, low_bits: int, contents: tuple[int, ...], frac: int, role: str, purpose: str
) -> Wire:
    """``contents`` addressed by the bits of ``a`` from ``low_bits`` up; a constant if all are the same."""
    if min(contents) == max(contents):
        purpose = f"{purpose}, the same everywhere"
        return build.cell(Cell.CONSTANT, (), role, frac=frac, parameter=contents[0], purpose=purpose)
    return build.cell(Cell.TABLE, (a,), role, frac=frac, parameter=low_bits, table=contents, purpose=purpose)
