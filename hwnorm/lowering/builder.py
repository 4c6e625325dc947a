"""Builds the cells of a datapath: shares equal ones, keeps every signal as narrow as its range."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.cells.base import Range, aligned
from hwnorm.datapath.cells.resize import resized
from hwnorm.datapath.ir import Cell, Node, run_cell
from hwnorm.errors import InputError
from hwnorm.fixed import MAX_WIDTH, FixedFormat, Overflow, Rounding
from hwnorm.lowering.csd import signed_digits, simplest_multiple
from hwnorm.lowering.units import piecewise
from hwnorm.lowering.wire import Wire
from hwnorm.operators.base import Function, Interval
from hwnorm.piecewise.design import MANY, Limited, Values, design_unit

#: A unit inside a datapath may be off by this much of a step of its result; rounding alone costs half.
UNIT_ERROR = 0.8
#: What cutting the flat ends of a function may move its result by, in such steps.
FLAT = 0.05


class Builder:
    """Makes nodes; implements :class:`hwnorm.operators.base.Lowering`.

    ``frac`` is the working precision: fractional bits that results inside the datapath keep.
    With ``exhaustive`` each signal is evaluated over all input codes and gets exactly the bits that
    occur, which is a proof that it never overflows; without, interval arithmetic bounds it, which is
    quicker and never narrower.
    """

    #: The wire of the node made last.
    last: Wire

    def __init__(self, input_format: FixedFormat, frac: int, exhaustive: bool) -> None:
        self.nodes: list[Node] = []
        self.frac = frac
        self._values: list[np.ndarray] | None = [] if exhaustive else None
        self._shared: dict[tuple[object, ...], Wire] = {}
        self._names: set[str] = set()
        self._stems: set[str] = set()
        self._part = ("x", "x")
        self.x = self.cell(
            Cell.INPUT,
            (),
            "",
            (input_format.low, input_format.high),
            0.0,
            values=input_format.codes() if exhaustive else None,
            parameter=int(not input_format.signed),
            fmt=input_format.inside,
        )

    # --- naming ----------------------------------------------------------------------------------

    def begin(self, stem: str, part: str) -> None:
        """What follows computes ``part``, a piece of the expression; names begin with ``stem``.

        Or with that and a number, where another part has it.
        """
        self._part = (_numbered(stem, self._stems), part)

    def finish(self, wire: Wire, real: Interval, purpose: str) -> Wire:
        """``wire`` is the result of the part begun last, whose exact values ``real`` holds.

        It gets the part's own name; ``purpose`` says what the part is.
        """
        stem, part = self._part
        node = self.nodes[wire.index]
        if node.part == part and node.name.startswith(f"{stem}_"):
            self._names.discard(node.name)
            self.nodes[wire.index] = replace(node, name=_numbered(stem, self._names), purpose=purpose)
        return replace(wire, real=(max(real[0], wire.real[0]), min(real[1], wire.real[1])))

    def called(self, wire: Wire) -> str:
        """How a purpose names a signal."""
        return f"{{{self.nodes[wire.index].name}}}"

    # --- the one way in which a node is made -------------------------------------------------------

    def cell(
        self,
        cell: Cell,
        args: tuple[Wire, ...],
        role: str,
        real: Interval = (-math.inf, math.inf),
        error: float = math.inf,
        *,
        frac: int | None = None,
        values: np.ndarray | None = None,
        parameter: int = 0,
        table: tuple[int, ...] = (),
        rounding: Rounding = "trn",
        overflow: Overflow = "wrap",
        fmt: FixedFormat | None = None,
        purpose: str = "",
    ) -> Wire:
        """The signal of a cell, a new one unless there is one just like it.

        Args:
            role: what its name says behind the name of the part.
            real, error: of the wire; unknown for one inside a unit, which stands for no value of its own.
            frac: fractional bits where neither the cell (``CellDefinition.frac``) nor ``fmt`` says them.
            fmt: of the input, and of what saturates; others get the narrowest that holds their codes.
            purpose: as of a :class:`Node`.
        """
        definition, indices = CELLS[cell], tuple(a.index for a in args)
        if fmt is not None:
            frac = fmt.frac
        elif frac is None:
            frac = definition.frac([a.frac for a in args], parameter)
        assert frac is not None, f"{cell}: its fractional bits must be said"
        key = (cell, indices, parameter, table, rounding, overflow, frac, fmt)
        if key in self._shared:
            return replace(self._shared[key], real=real, error=error)
        stem, part = self._part
        name = _numbered(f"{stem}_{role}" if role else stem, self._names)
        unbounded = fmt or FixedFormat(MAX_WIDTH, frac)
        node = Node(cell, indices, unbounded, name, part, parameter, table, rounding, overflow)
        low, high = definition.range(node, args)
        self._require_width(low, high)
        holding = fmt or FixedFormat.holding(low, high, frac)
        if self._values is not None:
            if values is None:
                given = [self._values[a.index] for a in args]
                values = run_cell(node, given, [self.nodes[a.index].fmt for a in args])
            low, high = int(values.min()), int(values.max())
            if fmt is None and not definition.whole:
                holding = FixedFormat.holding(low, high, frac)
            # Entries that are never read must fit the format too.
            table = tuple(min(max(entry, low), high) for entry in table)
            self._values.append(values)
        node = replace(node, fmt=holding, table=table, purpose=purpose)
        wire = Wire(len(self.nodes), frac, low, high, real, error)
        self.nodes.append(node)
        self.last = self._shared[key] = wire
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

    def _aligned(self, a: Wire, b: Wire) -> tuple[Range, Range]:
        """The ranges of both with the same fractional bits, which must have room too."""
        first, second = aligned((a, b))
        self._require_width(*first, *second)
        return first, second

    def add(self, a: Wire, b: Wire) -> Wire:
        """a + b, exact."""
        self._aligned(a, b)
        real = a.real[0] + b.real[0], a.real[1] + b.real[1]
        return self.cell(Cell.ADD, (a, b), "sum", real, a.error + b.error)

    def sub(self, a: Wire, b: Wire) -> Wire:
        """a - b, exact."""
        self._aligned(a, b)
        real = a.real[0] - b.real[1], a.real[1] - b.real[0]
        return self.cell(Cell.SUB, (a, b), "difference", real, a.error + b.error)

    def neg(self, a: Wire) -> Wire:
        """-a, exact."""
        real = -a.real[1], -a.real[0]
        return self.cell(Cell.NEG, (a,), "negated", real, a.error)

    def abs(self, a: Wire) -> Wire:
        """|a|, exact; no cell where a is never negative."""
        low, high = a.real
        real = max(0.0, low, -high), max(-low, high)
        if a.low >= 0:
            return replace(a, real=real)
        return self.cell(Cell.ABS, (a,), "magnitude", real, a.error)

    def min(self, a: Wire, b: Wire) -> Wire:
        """The smaller of a and b; no cell where their ranges decide."""
        (al, ah), (bl, bh) = self._aligned(a, b)
        real = min(a.real[0], b.real[0]), min(a.real[1], b.real[1])
        error = max(a.error, b.error)
        if ah <= bl or bh <= al:
            return replace(a if ah <= bl else b, real=real, error=error)
        return self.cell(Cell.MIN, (a, b), "min", real, error)

    def max(self, a: Wire, b: Wire) -> Wire:
        """The greater of a and b; no cell where their ranges decide."""
        (al, ah), (bl, bh) = self._aligned(a, b)
        real = max(a.real[0], b.real[0]), max(a.real[1], b.real[1])
        error = max(a.error, b.error)
        if al >= bh or bl >= ah:
            return replace(a if al >= bh else b, real=real, error=error)
        return self.cell(Cell.MAX, (a, b), "max", real, error)

    def mul(self, a: Wire, b: Wire) -> Wire:
        """a * b, exact."""
        exact = [p * q for p in a.real for q in b.real]
        real = min(exact), max(exact)
        if a.index == b.index:
            real = (0.0 if a.real[0] < 0 < a.real[1] else min(a.real[0] ** 2, a.real[1] ** 2), real[1])
        error = a.largest * b.error + b.largest * a.error + a.error * b.error
        return self.cell(Cell.MUL, (a, b), "product", real, error)

    def shift(self, a: Wire, places: int) -> Wire:
        """a * 2**places: wiring."""
        if places == 0:
            return a
        factor = 2.0**places
        real = a.real[0] * factor, a.real[1] * factor
        return self.cell(Cell.SHIFT, (a,), "shifted", real, a.error * factor, parameter=places)

    def select(self, a: Wire, positive: Wire, negative: Wire) -> Wire:
        """``negative`` where a < 0, else ``positive``; no cell where a's sign is known."""
        self._aligned(positive, negative)
        real = min(positive.real[0], negative.real[0]), max(positive.real[1], negative.real[1])
        error = max(positive.error, negative.error)
        if a.error and a.real[0] - a.error < 0 <= a.real[1] + a.error:
            error += real[1] - real[0]  # near zero the other one may be chosen
        if a.low >= 0 or a.high < 0:
            return replace(positive if a.low >= 0 else negative, real=real, error=error)
        return self.cell(Cell.SELECT, (a, positive, negative), "chosen", real, error)

    def sign(self, a: Wire) -> Wire:
        """One bit, negative where ``a`` is: all that a later stage needs to carry of it."""
        drop = FixedFormat.holding(a.low, a.high, a.frac).width - 1
        purpose = f"sign of {self.called(a)}"
        return self.cell(Cell.RESIZE, (a,), "sign", a.real, a.error, frac=a.frac - drop, purpose=purpose)

    def resize(self, a: Wire, frac: int, rounding: Rounding = "trn") -> Wire:
        """a with ``frac`` fractional bits, and as many bits before the point as it needs."""
        if a.frac == frac:
            return a
        error = a.error + _rounded_away(a, frac, rounding)
        return self.cell(Cell.RESIZE, (a,), "trimmed", a.real, error, frac=frac, rounding=rounding)

    def output(self, a: Wire, fmt: FixedFormat) -> Wire:
        """a in the output's format: rounded half up, saturated where its range asks for it."""
        self._part = ("result", self._part[1])
        if not fmt.signed:
            a, fmt = self.max(a, self.constant(0.0)), fmt.inside
        low, high = resized(a, fmt.frac, "rnd")
        self._require_width(low, high)
        fits = fmt.min_code <= low and high <= fmt.max_code
        return self.cell(
            Cell.RESIZE,
            (a,),
            "",
            a.real,
            a.error + _rounded_away(a, fmt.frac, "rnd"),
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
        number = f"{value:g}"
        before, self._part = self._part, ("constant", number)
        error, real = abs(value - code * 2.0**-frac), (value, value)
        wire = self.cell(Cell.CONSTANT, (), "", real, error, frac=frac, parameter=code, purpose=number)
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
        real = min(factor * a.real[0], factor * a.real[1]), max(factor * a.real[0], factor * a.real[1])
        needed = self.frac + max(0, math.ceil(math.log2(abs(factor))))
        if a.frac > needed:
            a = self.resize(a, needed)
        largest = max(abs(a.low), abs(a.high), 1) * 2.0**-a.frac
        multiple, point = simplest_multiple(factor, 0.5 * 2.0**-self.frac / largest)
        off = abs(multiple * 2.0**-point - factor) * largest + abs(factor) * a.error
        if multiple == 0:
            return replace(self.constant(0.0), real=real, error=off)
        try:
            total = self._times(a, multiple, point)
        except InputError:  # no room for the exact product
            width = FixedFormat.holding(a.low, a.high, a.frac).width
            if width <= 2:
                raise
            return self._scaled_in_parts(a, factor, width // 2, real)
        return self.trim(replace(total, real=real, error=off))

    def _times(self, a: Wire, multiple: int, point: int) -> Wire:
        """``a * multiple / 2**point``, exact, by its canonical signed digits."""
        terms = [(self.shift(a, place - point), sign) for place, sign in signed_digits(multiple)]
        # A positive term first spares the change of sign; then from low to high, so that the low
        # bits of each sum are wires.
        first = next((i for i, (_, sign) in enumerate(terms) if sign > 0), 0)
        total, sign = terms.pop(first)
        if sign < 0:
            total = self.neg(total)
        for term, sign in terms:
            total = self.add(total, term) if sign > 0 else self.sub(total, term)
        return total

    def _scaled_in_parts(self, a: Wire, factor: float, bits: int, real: Interval) -> Wire:
        """:meth:`scale` where the exact product has no room: of the lowest ``bits`` and of the others."""
        below = self.cell(Cell.LOW_BITS, (a,), "low", parameter=bits)
        above = self.resize(a, a.frac - bits)
        parts = []
        for part in (above, below):
            ends = part.low * 2.0**-part.frac, part.high * 2.0**-part.frac
            parts.append(self.scale(replace(part, real=ends, error=0.0), factor))
        total = self.add(*parts)
        return self.trim(replace(total, real=real, error=total.error + abs(factor) * a.error))

    def function(self, a: Wire, function: Function) -> Wire:
        """A function of ``a`` as a piecewise unit, to the working precision.

        Raises:
            InputError: outside the function's domain, or a table too large.
        """
        if self._values is None:
            # Bounds by intervals are never tight: a few widths serve all, and share their designs.
            a = self.trim(a)
            a = replace(a, low=_below(a.low), high=-1 - _below(-1 - a.high))
        a, moved = self._cut_flat_ends(a, function)
        ends = a.low * 2.0**-a.frac, a.high * 2.0**-a.frac
        try:
            function.interval(ends)
            domain = -math.inf, math.inf
        except InputError:
            domain = a.real  # codes that rounding moved out of the domain count as its ends
        result = self._unit(a, Limited(function, domain), self.frac, UNIT_ERROR)
        if a.error:
            near = max(domain[0], a.real[0] - a.error), min(domain[1], a.real[1] + a.error)
            known = math.isfinite(near[0]) and math.isfinite(near[1])
            moved += function.steepness(near)[0] * a.error if known else math.inf
        return replace(result, real=function.interval(a.real), error=result.error + moved)

    def _cut_flat_ends(self, a: Wire, function: Function) -> tuple[Wire, float]:
        """``a``, if it has too many codes for a table, saturated where the function hardly changes.

        And what that moves the function's value by.
        """
        total = 0.0
        while a.high - a.low >= MANY:
            half = 1 << (max(a.high, ~a.low).bit_length() - 1)
            moved = 0.0
            for tail in ((half, a.high), (a.low, -half)):
                if tail[0] < tail[1]:
                    try:
                        low, high = function.interval((tail[0] * 2.0**-a.frac, tail[1] * 2.0**-a.frac))
                    except InputError:
                        return a, total
                    moved = max(moved, high - low)
            if total + moved > FLAT * 2.0**-self.frac:
                break
            total += moved
            fmt = FixedFormat(half.bit_length(), a.frac)
            a = self.cell(Cell.RESIZE, (a,), "saturated", a.real, a.error, overflow="sat", fmt=fmt)
        return a, total

    def function_of_x(self, function: Values, frac: int, tolerance: float) -> Wire:
        """A function of x as a piecewise unit, off by less than ``tolerance`` steps of ``frac`` bits.

        Raises:
            InputError: a table too large.
        """
        return self._unit(self.x, function, frac, tolerance)

    def _unit(self, a: Wire, function: Values, frac: int, tolerance: float) -> Wire:
        occurring = None
        if self._values is not None and a.index != self.x.index:
            codes = np.unique(self.values(a))
            occurring = codes.tobytes() if len(codes) <= a.high - a.low else None
        try:
            unit = design_unit(function, a.low, a.high, a.frac, frac, tolerance, occurring)
        except InputError as error:
            raise InputError(f"{self._part[1]}: {error}") from None
        return replace(piecewise(self, a, unit, frac), error=unit.error * 2.0**-frac)


def _numbered(wish: str, taken: set[str]) -> str:
    """A name that is not taken yet, and is then: ``wish``, or that with a number behind it."""
    name, n = wish, 2
    while name in taken:
        name, n = f"{wish}_{n}", n + 1
    taken.add(name)
    return name


def _below(code: int) -> int:
    """The nearest -2**n at or below a negative code; 0 for others."""
    return -(1 << (-code - 1).bit_length()) if code < 0 else 0


def _rounded_away(a: Wire, frac: int, rounding: Rounding) -> float:
    """What a change to ``frac`` fractional bits can move a value by."""
    if a.frac <= frac:
        return 0.0
    return float(2.0**-frac * (0.5 if rounding == "rnd" else 1.0))
