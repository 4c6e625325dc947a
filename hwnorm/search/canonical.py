"""One form for all shapes that are the same function of their constants: what is evaluated once.

Gain and offset of a shape are fitted, and so are the constants inside it. Two trees that differ only in
these, in the order of a sum, or by an identity such as clip(2*x, 3) = 2*clip(x, 1.5), are one shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant

#: f(-u) = -f(u).
_ODD = frozenset({"tanh", "erf", "hardtanh"})
#: Coefficients smaller than this, beside the largest of a sum, are rounding.
_NOTHING = 1e-9

_NUMBER = re.compile(r"(?<![\w.])-?\d+(\.\d+)?(e[+-]?\d+)?")


def canonical(shape: Expression) -> Expression | None:
    """The form of ``shape`` without its gain and offset; None if it does not depend on x or has no value.

    Every term of a sum but the first has a factor, though it be one: each is a constant to be fitted.
    """
    try:
        total = _linear(shape)
    except InputError:
        return None  # a constant outside its operator's domain
    return total.scaled(1.0 / total.lead).bare(lead=True) if total.terms else None


def key(shape: Expression) -> str:
    """The text of a canonical form with all numbers alike: equal for equal functions of the constants."""
    return _NUMBER.sub("#", _text(shape))


def _text(node: Expression) -> str:
    """Unlike the infix text this one shows a factor of one, and the sign of no number."""
    if not node.args:
        return str(node)
    return f"{node.kind}({','.join(_text(arg) for arg in node.args)})"


@dataclass(frozen=True)
class _Sum:
    """A sum of terms, factor times what is no sum, and a constant; sorted, no two terms alike."""

    terms: tuple[tuple[float, Expression], ...]
    constant: float = 0.0

    @classmethod
    def of(cls, terms: list[tuple[float, Expression]], offset: float = 0.0) -> _Sum:
        merged: dict[Expression, float] = {}
        for factor, atom in terms:
            merged[atom] = merged.get(atom, 0.0) + factor
        largest = max((abs(factor) for factor in merged.values()), default=0.0)
        kept = [(f, a) for a, f in merged.items() if abs(f) > _NOTHING * largest]
        if len(kept) > 1:
            kept.sort(key=lambda term: _order(term[1]))
        return cls(tuple(kept), offset)

    @property
    def lead(self) -> float:
        """The first term's factor."""
        return self.terms[0][0]

    def scaled(self, factor: float) -> _Sum:
        if factor == 0.0:
            return _Sum(())
        return _Sum(tuple((factor * f, a) for f, a in self.terms), factor * self.constant)

    def plus(self, other: _Sum) -> _Sum:
        return _Sum.of([*self.terms, *other.terms], self.constant + other.constant)

    def bare(self, lead: bool) -> Expression:
        """As an expression, without the constant; with ``lead`` the first factor is one and left out."""
        parts = [Expression("mul", (constant(f), a)) for f, a in self.terms]
        if lead:
            parts[0] = self.terms[0][1]
        total = parts[0]
        for part in parts[1:]:
            total = Expression("add", (total, part))
        return total

    def expression(self, lead: bool) -> Expression:
        """As :meth:`bare`, with the constant if there is one."""
        total = self.bare(lead)
        return Expression("add", (total, constant(self.constant))) if self.constant else total


def _atom(factor: float, atom: Expression) -> _Sum:
    return _Sum(((factor, atom),))


def _linear(node: Expression) -> _Sum:
    if node.kind == "x":
        return _atom(1.0, X)
    if node.is_constant:
        return _Sum((), node.value)
    sums = [_linear(arg) for arg in node.args]
    if all(not s.terms for s in sums):
        folded = apply(node.kind, *(constant(s.constant) for s in sums))
        return _Sum((), folded.value)
    first = sums[0]
    match node.kind:
        case "add":
            return first.plus(sums[1])
        case "sub":
            return first.plus(sums[1].scaled(-1.0))
        case "neg":
            return first.scaled(-1.0)
        case "mul":
            return _product(first, sums[1])
        case "sigmoid":
            half = _function("tanh", first.scaled(0.5))
            return _Sum(tuple((0.5 * f, a) for f, a in half.terms), 0.5)
        case "clip" if len(sums) == 2:
            return _clip(first, node.args[1].value)
        case "abs" | "square":
            return _even(node.kind, first)
        case "min" | "max":
            return _extreme(node.kind, first, sums[1])
    if len(sums) == 1:
        return _function(node.kind, first)
    args = (s.expression(lead=False) if s.terms else constant(s.constant) for s in sums)
    return _atom(1.0, Expression(node.kind, tuple(args)))


def _function(name: str, inner: _Sum) -> _Sum:
    if name in _ODD and inner.lead < 0:
        return _atom(-1.0, Expression(name, (inner.scaled(-1.0).expression(lead=False),)))
    return _atom(1.0, Expression(name, (inner.expression(lead=False),)))


def _product(a: _Sum, b: _Sum) -> _Sum:
    if not a.terms or not b.terms:
        return b.scaled(a.constant) if not a.terms else a.scaled(b.constant)
    factor = a.lead * b.lead
    left, right = (s.scaled(1.0 / s.lead).expression(lead=True) for s in (a, b))
    if left == right:
        return _even("square", a.scaled(1.0 / a.lead)).scaled(factor)
    return _atom(factor, Expression("mul", tuple(sorted((left, right), key=_order))))


def _clip(inner: _Sum, limit: float) -> _Sum:
    factor, limit = inner.lead, limit / abs(inner.lead)
    inner = inner.scaled(1.0 / inner.lead)
    atom = inner.terms[0][1]
    if len(inner.terms) == 1 and not inner.constant:
        if atom.kind == "clip" and len(atom.args) == 2:
            return _atom(factor, Expression("clip", (atom.args[0], constant(min(limit, atom.args[1].value)))))
        if atom.kind in _ODD and limit >= 1.0:
            return _atom(factor, atom)
    return _atom(factor, Expression("clip", (inner.expression(lead=True), constant(limit))))


def _even(name: str, inner: _Sum) -> _Sum:
    factor = abs(inner.lead) if name == "abs" else inner.lead**2
    inner = inner.scaled(1.0 / inner.lead)
    atom = inner.terms[0][1]
    if len(inner.terms) == 1 and not inner.constant and atom.kind in ("abs", "square"):
        if name == "abs":
            return _atom(factor, atom)
        if atom.kind == "abs":
            return _atom(factor, Expression("square", atom.args))
    return _atom(factor, Expression(name, (inner.expression(lead=True),)))


def _extreme(name: str, a: _Sum, b: _Sum) -> _Sum:
    if not a.terms:
        a, b = b, a
    if not b.terms:
        factor, limit = a.lead, b.constant / a.lead
        if factor < 0:  # min(-u, c) = -max(u, -c)
            name = {"min": "max", "max": "min"}[name]
        left = a.scaled(1.0 / factor).expression(lead=True)
        return _atom(factor, Expression(name, (left, constant(limit))))
    sides = sorted((a, b), key=lambda s: _order(s.expression(lead=False)))
    factor = abs(sides[0].lead)
    left, right = (s.scaled(1.0 / factor).expression(lead=False) for s in sides)
    return a if left == right else _atom(factor, Expression(name, (left, right)))


def _order(node: Expression) -> tuple[int, str, str]:
    """Shorter forms first, then by their text without and with the numbers."""
    text = _text(node)
    alike = _NUMBER.sub("#", text)
    return len(alike), alike, text
