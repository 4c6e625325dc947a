"""Which functions are affine in x: their gain and offset fold into the layers that read them."""

from __future__ import annotations

from hwnorm.expression import Expression


def line_of(expression: Expression) -> tuple[float, float] | None:
    """Gain and offset where the expression is gain * x + offset, else None."""
    if expression.kind == "x":
        return 1.0, 0.0
    if expression.is_constant:
        return 0.0, expression.value
    if expression.kind not in ("add", "sub", "neg", "mul", "shift"):
        return None
    lines = [line_of(arg) for arg in expression.args]
    match expression.kind, lines:
        case "add", [(a, b), (c, d)]:
            return a + c, b + d
        case "sub", [(a, b), (c, d)]:
            return a - c, b - d
        case "neg", [(a, b)]:
            return -a, -b
        case "mul", [(0.0, c), (a, b)] | [(a, b), (0.0, c)]:
            return c * a, c * b
        case "shift", [(a, b), (0.0, k)]:
            return a * 2.0**k, b * 2.0**k
    return None
