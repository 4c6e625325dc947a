"""Builds the cells of a datapath: shares equal ones, keeps every signal as narrow as its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hwnorm.datapath.csd import signed_digits, simplest_multiple
from hwnorm.datapath.ir import Cell, Node, run_cell
from hwnorm.datapath.piecewise import design_unit
from hwnorm.errors import InputError
from hwnorm.fixed import MAX_WIDTH, FixedFormat, Overflow, Rounding
from hwnorm.operators.base import Function


@dataclass(frozen=True, slots=True)
class Wire:
    """A signal in a datapath under construction: its node and the codes that it can take."""

    index: int
    frac: int
    low: int
    high: int


class Builder:
    """Makes nodes; implements :class:`hwnorm.operators.base.Lowering`.

    ``frac`` is the working precision: fractional bits that results inside the datapath keep.
    With ``exhaustive`` each signal is evaluated over all input codes and gets exactly the bits that
    occur, which is a proof that it never overflows; without, interval arithmetic bounds it, which is
    quicker and never narrower.
    """

    def __init__(self, input_format: FixedFormat, frac: int, exhaustive: bool) -> None:
        self.nodes: list[Node] = []
        self.frac = frac
        self._wires: list[Wire] = []
        self._values: list[np.ndarray] | None = [] if exhaustive else None
        self._shared: dict[tuple[object, ...], Wire] = {}
        self._names: set[str] = set()
        self._part = ("x", "x")
        codes = input_format.codes() if exhaustive else None
        self.x = self._new(
            Cell.INPUT, (), input_format.frac, (input_format.min_code, input_format.max_code), "", codes
        )

    # --- naming ----------------------------------------------------------------------------------

    def begin(self, stem: str, part: str) -> None:
        """What follows computes ``part``, a piece of the expression; names begin with ``stem``."""
        self._part = (stem, part)

    def finish(self, wire: Wire) -> None:
        """``wire`` is the result of the part begun last: it gets the part's own name."""
        stem, part = self._part
        node = self.nodes[wire.index]
        if node.part == part and node.name.startswith(f"{stem}_"):
            self._names.discard(node.name)
            self.nodes[wire.index] = replace(node, name=self._unique(stem))

    def _unique(self, stem: str) -> str:
        name, n = stem, 2
        while name in self._names:
            name, n = f"{stem}_{n}", n + 1
        self._names.add(name)
        return name

    # --- the one way in which a node is made -------------------------------------------------------

    def _new(
        self,
        cell: Cell,
        args: tuple[Wire, ...],
        frac: int,
        codes: tuple[int, int],
        role: str,
        values: np.ndarray | None = None,
        *,
        parameter: int = 0,
        table: tuple[int, ...] = (),
        rounding: Rounding = "trn",
        overflow: Overflow = "wrap",
        fmt: FixedFormat | None = None,
    ) -> Wire:
        key = (cell, tuple(a.index for a in args), parameter, table, rounding, overflow, frac, fmt)
        if key in self._shared:
            return self._shared[key]
        low, high = codes
        self._require_width(low, high)
        stem, part = self._part
        name = self._unique(f"{stem}_{role}" if role else stem)
        provisional = fmt or FixedFormat.holding(low, high, frac)
        node = Node(
            cell, tuple(a.index for a in args), provisional, name, part, parameter, table, rounding, overflow
        )
        if self._values is not None:
            if values is None:
                given = [self._values[a.index] for a in args]
                values = run_cell(node, given, [self.nodes[a.index].fmt for a in args])
            low, high = int(values.min()), int(values.max())
            if fmt is None:
                node = replace(node, fmt=FixedFormat.holding(low, high, frac))
            self._values.append(values)
        wire = Wire(len(self.nodes), frac, low, high)
        self.nodes.append(node)
        self._wires.append(wire)
        self._shared[key] = wire
        return wire

    def _require_width(self, *codes: int) -> None:
        """What the evaluation in int64 meets must be no wider than a signal may be."""
        bits = max(abs(code) for code in codes).bit_length() + 1
        if bits > MAX_WIDTH:
            raise InputError(
                f"{self._part[1]}: needs {bits} bits; "
                f"{MAX_WIDTH} are possible: use fewer fractional bits or a smaller range"
            )

    def values(self, wire: Wire) -> np.ndarray:
        """Codes of a signal for all input codes in ascending order (exhaustive builders only)."""
        assert self._values is not None
        return np.broadcast_to(self._values[wire.index], self._values[0].shape)

    # --- exact cells -------------------------------------------------------------------------------

    def _aligned(self, a: Wire, b: Wire) -> tuple[int, tuple[int, int], tuple[int, int]]:
        frac = max(a.frac, b.frac)
        up_a, up_b = frac - a.frac, frac - b.frac
        self._require_width(a.low << up_a, a.high << up_a, b.low << up_b, b.high << up_b)
        return frac, (a.low << up_a, a.high << up_a), (b.low << up_b, b.high << up_b)

    def add(self, a: Wire, b: Wire) -> Wire:
        """a + b, exact."""
        frac, (al, ah), (bl, bh) = self._aligned(a, b)
        return self._new(Cell.ADD, (a, b), frac, (al + bl, ah + bh), "sum")

    def sub(self, a: Wire, b: Wire) -> Wire:
        """a - b, exact."""
        frac, (al, ah), (bl, bh) = self._aligned(a, b)
        return self._new(Cell.SUB, (a, b), frac, (al - bh, ah - bl), "difference")

    def neg(self, a: Wire) -> Wire:
        """-a, exact."""
        return self._new(Cell.NEG, (a,), a.frac, (-a.high, -a.low), "negated")

    def abs(self, a: Wire) -> Wire:
        """|a|, exact; no cell where a is never negative."""
        if a.low >= 0:
            return a
        return self._new(Cell.ABS, (a,), a.frac, (max(0, -a.high), max(-a.low, a.high)), "magnitude")

    def min(self, a: Wire, b: Wire) -> Wire:
        """The smaller of a and b; no cell where their ranges decide."""
        frac, (al, ah), (bl, bh) = self._aligned(a, b)
        if ah <= bl:
            return a
        if bh <= al:
            return b
        return self._new(Cell.MIN, (a, b), frac, (min(al, bl), min(ah, bh)), "min")

    def max(self, a: Wire, b: Wire) -> Wire:
        """The greater of a and b; no cell where their ranges decide."""
        frac, (al, ah), (bl, bh) = self._aligned(a, b)
        if al >= bh:
            return a
        if bl >= ah:
            return b
        return self._new(Cell.MAX, (a, b), frac, (max(al, bl), max(ah, bh)), "max")

    def mul(self, a: Wire, b: Wire) -> Wire:
        """a * b, exact."""
        corners = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
        low, high = min(corners), max(corners)
        if a.index == b.index:
            low = 0 if a.low < 0 < a.high else min(a.low**2, a.high**2)
        return self._new(Cell.MUL, (a, b), a.frac + b.frac, (low, high), "product")

    def shift(self, a: Wire, places: int) -> Wire:
        """a * 2**places: wiring."""
        if places == 0:
            return a
        return self._new(Cell.SHIFT, (a,), a.frac - places, (a.low, a.high), "shifted", parameter=places)

    def resize(self, a: Wire, frac: int, rounding: Rounding = "trn") -> Wire:
        """a with ``frac`` fractional bits, and as many bits before the point as it needs."""
        if a.frac == frac:
            return a
        return self._new(Cell.RESIZE, (a,), frac, _resized(a, frac, rounding), "trimmed", rounding=rounding)

    def output(self, a: Wire, fmt: FixedFormat) -> Wire:
        """a in the output's format: rounded half up, saturated where its range asks for it."""
        low, high = _resized(a, fmt.frac, "rnd")
        self._require_width(low, high)
        fits = fmt.min_code <= low and high <= fmt.max_code
        clamped = tuple(min(max(v, fmt.min_code), fmt.max_code) for v in (low, high))
        self._part = ("y", self._part[1])
        return self._new(
            Cell.RESIZE,
            (a,),
            fmt.frac,
            (clamped[0], clamped[1]),
            "",
            rounding="rnd",
            overflow="wrap" if fits else "sat",
            fmt=fmt,
        )

    # --- what operators ask for ----------------------------------------------------------------------

    def constant(self, value: float) -> Wire:
        """``value`` rounded to the working precision, without needless trailing zero bits."""
        code, frac = round(value * 2.0**self.frac), self.frac
        while code and code % 2 == 0 and frac > 0:
            code, frac = code // 2, frac - 1
        if code == 0:
            frac = 0
        before, self._part = self._part, ("constant", f"{value:g}")
        wire = self._new(Cell.CONSTANT, (), frac, (code, code), "", parameter=code)
        self._part = before
        return wire

    def trim(self, a: Wire) -> Wire:
        """``a`` with no more fractional bits than the working precision (floor)."""
        return self.resize(a, self.frac) if a.frac > self.frac else a

    def scale(self, a: Wire, factor: float) -> Wire:
        """``a`` times ``factor`` by shift-and-add, to the working precision.

        The factor is the one of fewest fractional bits that is off by at most half a step of the
        working precision at the largest \\|a\\|; its canonical signed digits are the additions.
        """
        if factor == 0:
            return self.constant(0.0)
        needed = self.frac + max(0, math.ceil(math.log2(abs(factor))))
        if a.frac > needed:
            a = self.resize(a, needed)
        largest = max(abs(a.low), abs(a.high), 1) * 2.0**-a.frac
        multiple, point = simplest_multiple(factor, 0.5 * 2.0**-self.frac / largest)
        if multiple == 0:
            return self.constant(0.0)
        digits = signed_digits(multiple)
        terms = [(self.shift(a, place - point), sign) for place, sign in digits]
        # A positive term first spares the change of sign; then from low to high, so that the low
        # bits of each sum are wires.
        first = next((i for i, (_, sign) in enumerate(terms) if sign > 0), 0)
        total, sign = terms.pop(first)
        if sign < 0:
            total = self.neg(total)
        for term, sign in terms:
            total = self.add(total, term) if sign > 0 else self.sub(total, term)
        return self.trim(total)

    def select(self, a: Wire, positive: Wire, negative: Wire) -> Wire:
        """``negative`` where a < 0, else ``positive``; no cell where a's sign is known."""
        frac, (pl, ph), (nl, nh) = self._aligned(positive, negative)
        if a.low >= 0 or a.high < 0:
            return positive if a.low >= 0 else negative
        return self._new(Cell.SELECT, (a, positive, negative), frac, (min(pl, nl), max(ph, nh)), "chosen")

    def function(self, a: Wire, function: Function) -> Wire:
        """A function of ``a`` as a direct table (the units of ``piecewise`` take its place)."""
        a = self.trim(a)
        width = FixedFormat.holding(a.low, a.high, a.frac).width
        codes = np.clip(np.roll(np.arange(-(1 << width - 1), 1 << width - 1), 1 << width - 1), a.low, a.high)
        values = np.floor(function.numpy(codes * 2.0**-a.frac) * 2.0**self.frac + 0.5)
        return self._table(a, 0, tuple(int(v) for v in values), self.frac, "value")

    def piecewise_odd(self, a: Wire, function: Callable[[np.ndarray], np.ndarray]) -> Wire:
        """An odd function of ``a``: half a table of line segments, then the sign again."""
        a = self.trim(a)
        magnitude = self.abs(a)
        try:
            unit = design_unit(function, magnitude.high, a.frac, self.frac)
        except InputError as error:
            raise InputError(f"{self._part[1]}: {error}") from None
        if magnitude.high > unit.last_code:
            last = unit.last_code
            limit = self._new(Cell.CONSTANT, (), a.frac, (last, last), "limit", parameter=last)
            magnitude = self.min(magnitude, limit)
        base = self._table(magnitude, unit.low_bits, unit.base, unit.base_frac, "base")
        if unit.low_bits:
            slope = self._table(magnitude, unit.low_bits, unit.slope, unit.slope_frac, "slope")
            run = 0, (1 << unit.low_bits) - 1
            offset = self._new(Cell.LOW_BITS, (magnitude,), a.frac, run, "offset", parameter=unit.low_bits)
            rise = self.resize(self.mul(slope, offset), unit.base_frac)
            base = self.resize(self.add(base, rise), self.frac)
        if a.low >= 0:
            return base
        bound = max(abs(base.low), abs(base.high))
        return self._new(Cell.NEGATE_IF, (base, a), base.frac, (-bound, bound), "signed")

    def _table(self, a: Wire, low_bits: int, contents: tuple[int, ...], frac: int, role: str) -> Wire:
        return self._new(
            Cell.TABLE, (a,), frac, (min(contents), max(contents)), role, parameter=low_bits, table=contents
        )


def _resized(a: Wire, frac: int, rounding: Rounding) -> tuple[int, int]:
    """The range of ``a`` in codes of ``frac`` fractional bits."""
    drop = a.frac - frac
    half = 1 << (drop - 1) if rounding == "rnd" and drop > 0 else 0
    low, high = (((v + half) >> drop) if drop > 0 else v << -drop for v in (a.low, a.high))
    return low, high
