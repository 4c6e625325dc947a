"""Expressions: immutable DAGs of operators over x and constants, read from and printed as infix text."""

from __future__ import annotations

import ast
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from hwnorm import hints
from hwnorm.errors import InputError
from hwnorm.operators import operator, registry
from hwnorm.operators.base import Interval
from hwnorm.operators.lookup import laid_out


@dataclass(frozen=True, slots=True)
class Expression:
    """A node of the DAG: the variable x, a constant, or an operator applied to arguments.

    Make one with :data:`X`, :func:`constant`, :func:`apply` or :func:`parse`, which fold constants
    and check arguments. Equal expressions compare and hash equal, so shared subtrees are found.
    """

    #: Operator's name, ``"x"`` or ``"constant"``.
    kind: str
    args: tuple[Expression, ...] = ()
    value: float = 0.0
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.kind, self.args, self.value)))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return _print(self)

    @property
    def is_constant(self) -> bool:
        return self.kind == "constant"

    def walk(self) -> list[Expression]:
        """Every distinct subexpression, arguments before what uses them."""
        seen: set[Expression] = set()
        found: list[Expression] = []

        def visit(node: Expression) -> None:
            if node not in seen:
                seen.add(node)
                for arg in node.args:
                    visit(arg)
                found.append(node)

        visit(self)
        return found

    def _fold(
        self, x: Any, of_constant: Callable[[float], Any], of_operator: Callable[[str, list[Any]], Any]
    ) -> dict[Expression, Any]:
        """What each distinct subexpression becomes, made from what its arguments became."""
        made: dict[Expression, Any] = {}
        for node in self.walk():
            if node.kind == "x":
                made[node] = x
            elif node.is_constant:
                made[node] = of_constant(node.value)
            else:
                made[node] = of_operator(node.kind, [made[arg] for arg in node.args])
        return made

    def numpy(self, x: np.ndarray) -> np.ndarray:
        """Values at ``x`` (any shape) in float64: the reference that errors are measured against.

        Not a number, or infinite, where an operator is outside its domain.
        """
        x = np.asarray(x, dtype=np.float64)
        return np.broadcast_to(np.asarray(self.values(x)[self], dtype=np.float64), x.shape)

    def values(self, x: np.ndarray) -> dict[Expression, Any]:
        """For every subexpression its values at the float64 array ``x``; of a constant, the number."""
        with np.errstate(all="ignore"):
            return self._fold(x, lambda value: value, lambda name, args: operator(name).numpy(*args))

    def intervals(self, x: Interval) -> dict[Expression, Interval]:
        """For every subexpression an interval that holds its values for x in the interval ``x``.

        Raises:
            InputError: an operator's argument may leave its domain, or a value be infinite.
        """
        return self._fold(x, lambda value: (value, value), _interval)

    def at(self, inner: Expression) -> Expression:
        """The expression with ``inner`` in the place of x."""
        made = self._fold(inner, constant, lambda name, args: apply(name, *args))
        composed: Expression = made[self]
        return composed

    def to_module(self) -> nn.Module:
        """An elementwise ``torch.nn.Module`` that computes the expression, differentiable in x."""
        return ExpressionModule(self)


def _interval(name: str, args: list[Interval]) -> Interval:
    low, high = operator(name).interval(*args)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{name}'s result runs from {low:g} to {high:g}; it must be finite")
    return low, high


class ExpressionModule(nn.Module):
    """An expression as an elementwise module: tensor of any shape in, the same shape out."""

    def __init__(self, expression: Expression) -> None:
        super().__init__()
        self.expression = expression

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype in (torch.float16, torch.bfloat16):
            # Their own arithmetic would round at each step, and at steps of a table take another one's value.
            return cast(torch.Tensor, self(x.float())).to(x.dtype)
        x = laid_out(x)
        values = self.expression._fold(x, lambda value: value, lambda name, args: operator(name).torch(*args))
        result = values[self.expression]
        return result if isinstance(result, torch.Tensor) else torch.full_like(x, result)

    def extra_repr(self) -> str:
        return str(self.expression)


#: The variable.
X = Expression("x")

#: Constants are smaller than this: larger ones have no fixed-point form.
TOO_LARGE = 1e30


def constant(value: float) -> Expression:
    """A constant; negative zero becomes zero."""
    return Expression("constant", (), float(value) + 0.0)


def apply(name: str, *args: Expression) -> Expression:
    """The operator ``name`` applied to ``args``.

    Constants are folded and merged; a constant factor stands first, and a constant is added last
    (subtracting one is adding its negative), so that equal formulas are more often equal expressions.
    Signs are taken out of products and dropped where nothing depends on them, and a product of equal
    factors is a square, whose interval is tighter.

    Raises:
        InputError: unknown operator, wrong number of arguments, or an argument it does not allow.
    """
    op = operator(name)
    least, most = op.arity
    if not least <= len(args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise InputError(f"{name} takes {wanted} argument(s); {len(args)} given")
    for position in op.constant_arguments:
        if position < len(args) and not args[position].is_constant:
            raise InputError(f"argument {position + 1} of {name} must be a number; {args[position]} given")
    complaint = op.check(*(arg.value if arg.is_constant else None for arg in args))
    if complaint is not None:
        raise InputError(complaint)
    if all(arg.is_constant for arg in args):
        op.interval(*((arg.value, arg.value) for arg in args))  # says it if they are outside the domain
        with np.errstate(all="ignore"):
            value = float(op.numpy(*(arg.value for arg in args)))
        if not abs(value) < TOO_LARGE:
            texts = ", ".join(str(arg) for arg in args)
            raise InputError(f"{name}({texts}) is {value:g}; a number this large has no fixed-point form")
        return constant(value)
    if name == "sub" and args[1].is_constant:
        return apply("add", args[0], constant(-args[1].value))
    if name in ("add", "mul") and args[0 if name == "add" else 1].is_constant:
        args = (args[1], args[0])
    return _merged(name, args) or Expression(name, tuple(args))


def _merged(name: str, args: tuple[Expression, ...]) -> Expression | None:
    """The simpler expression that is equal: constants that meet, needless signs, equal arguments."""
    match name, args:
        case "mul", (Expression(kind="constant", value=c), inner):
            if c == 0.0:
                return constant(0.0)
            if c == 1.0:
                return inner
            if inner.kind == "neg":
                return apply("mul", constant(-c), inner.args[0])
            if inner.kind == "mul" and inner.args[0].is_constant:
                return apply("mul", apply("mul", args[0], inner.args[0]), inner.args[1])
        case "mul", (a, b):
            if a == b:
                return apply("square", a)
            if a.kind == "neg":
                return apply("neg", apply("mul", a.args[0], b))
            if b.kind == "neg":
                return apply("neg", apply("mul", a, b.args[0]))
        case "add", (inner, Expression(kind="constant", value=c)):
            if c == 0.0:
                return inner
            if inner.kind == "add" and inner.args[1].is_constant:
                return apply("add", inner.args[0], apply("add", inner.args[1], args[1]))
        case "add", (a, b):
            if b.kind == "neg":
                return apply("sub", a, b.args[0])
            if a.kind == "neg":
                return apply("sub", b, a.args[0])
        case "sub", (a, Expression(kind="neg", args=(b,))):
            return apply("add", a, b)
        case "neg", (inner,):
            if inner.kind == "neg":
                return inner.args[0]
            if inner.kind == "mul" and inner.args[0].is_constant:
                return apply("mul", constant(-inner.args[0].value), inner.args[1])
            if inner.kind == "sub":
                return apply("sub", inner.args[1], inner.args[0])
        case "abs" | "square", (Expression(kind="neg", args=(inner,)),):
            return apply(name, inner)
        case "clip", (inner, Expression(value=low), Expression(value=high)) if low == -high:
            return apply("clip", inner, args[2])
        case "select", (c, a, b):
            if c.is_constant:
                return a if c.value >= 0 else b
            if a == b:
                return a
    return None


# --- reading -------------------------------------------------------------------------------------

#: The deepest nesting that is read; the code that walks expressions is recursive.
MAX_DEPTH = 150

_BINARY: dict[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}


#: ``ast.parse`` of CPython 3.11 fails now and then in several threads at once.
_PARSING = threading.Lock()


def parse(text: str) -> Expression:
    """Read ordinary infix text such as ``2.58*tanh(x) + 0.24``.

    Known are x, numbers, + - * /, parentheses, and every operator by its name; a / b is a times
    ``reciprocal(b)``, or times 1/b where b is a number. It may take several lines, each with a comment
    behind ``#``.

    Raises:
        InputError: with the text and a caret under the first place that is wrong.
    """
    # Each comment ends with its line, before lines are joined.
    text = " ".join(word for line in text.splitlines() for word in line.partition("#")[0].split())
    if not text:
        raise InputError("expression: is empty; something such as 2.58*tanh(x)+0.24 is needed")
    if (odd := hints.of_character(text)) is not None:
        raise _complaint(text, *odd)
    try:
        with _PARSING:
            tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        # A broken string or bracket is reported where Python's own parser stops.
        raise _complaint(text, max((error.offset or 1) - 1, 0), error.msg + hints.of_syntax(text)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"expression of {len(text)} characters cannot be read: {error}") from None
    depth = _depth(tree)
    if depth > MAX_DEPTH:
        raise InputError(f"expression: nested {depth} deep; at most {MAX_DEPTH} can be read")
    return _convert(tree, text)


def _depth(tree: ast.expr) -> int:
    depth, level = 0, [tree]
    while level:
        depth += 1
        children = [child for node in level for child in ast.iter_child_nodes(node)]
        level = [child for child in children if isinstance(child, ast.expr)]
    return depth


def _complaint(text: str, column: int, what: str) -> InputError:
    return InputError(f"expression: {what}\n  {text}\n  {' ' * column}^")


def _convert(node: ast.expr, text: str) -> Expression:
    def wrong(what: str, at: ast.expr = node) -> InputError:
        column = len(text.encode()[: at.col_offset].decode(errors="ignore"))
        return _complaint(text, column, what)

    def build(name: str, *args: ast.expr) -> Expression:
        converted = [_convert(arg, text) for arg in args]
        try:
            return apply(name, *converted)
        except InputError as error:
            raise wrong(str(error)) from None

    match node:
        case ast.Name(id="x"):
            return X
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value) if abs(value) < TOO_LARGE:
            return constant(float(value))
        case ast.Constant(value=int() | float()):
            raise wrong("a number this large has no fixed-point form")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return build("neg", operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return build(_BINARY[type(op)], left, right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            divisor = _convert(right, text)
            if not divisor.is_constant:
                return apply("mul", _convert(left, text), apply("reciprocal", divisor))
            if abs(divisor.value) <= 1.0 / TOO_LARGE:
                raise wrong(f"division by {number_text(divisor.value)}; it must not be zero", right)
            return apply("mul", constant(1.0 / divisor.value), _convert(left, text))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name not in registry():
                hint = hints.of_function(name, registry())
                raise wrong(f"unknown operator {name!r}{hint}; there are {', '.join(registry())}")
            return build(name, *args)
        case ast.Name(id=name):
            raise wrong(f"unknown name {name!r}; the variable is x{hints.of_variable(name)}")
    found = ast.unparse(node)
    raise wrong(f"{found!r} is not known{hints.of_syntax(found)}; x, numbers, + - * / and operators are")


# --- printing ------------------------------------------------------------------------------------


def number_text(value: float) -> str:
    """The shortest text that reads back as the same float, without a needless ``.0``."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


_SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4


def brief(text: str) -> str:
    """A formula for reading: of a long list of numbers the first four, and how many more there are."""
    return re.sub(
        r"((?:, -?[\d.e-]+){4})((?:, -?[\d.e-]+){5,})",
        lambda match: f"{match[1]}, ... {match[2].count(',')} more",
        text,
    )


def short(expression: str) -> str:
    """The expression for reading: numbers of at most four significant digits, no long lists of them."""
    return brief(re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.4g}", expression))


def outermost(expression: Expression, names: Mapping[Expression, str]) -> str:
    """The outermost operation of an expression: its arguments by ``names``, numbers as they are."""
    return _render(expression, names)[0]


def _print(expression: Expression) -> str:
    return _render(expression, {})[0]


def _render(node: Expression, names: Mapping[Expression, str]) -> tuple[str, int]:
    """Text and the precedence of its outermost operation; arguments in ``names`` are called so."""
    if node.kind == "x":
        return "x", _ATOM
    if node.is_constant:
        return number_text(node.value), _ATOM if node.value >= 0 else _UNARY

    def inside(arg: Expression, least: int) -> str:
        text, precedence = (names[arg], _ATOM) if arg in names else _render(arg, names)
        return text if precedence >= least else f"({text})"

    match node.kind:
        case "add" if node.args[1].is_constant and node.args[1].value < 0:
            return f"{inside(node.args[0], _SUM)} - {number_text(-node.args[1].value)}", _SUM
        case "add":
            return f"{inside(node.args[0], _SUM)} + {inside(node.args[1], _PRODUCT)}", _SUM
        case "sub":
            return f"{inside(node.args[0], _SUM)} - {inside(node.args[1], _PRODUCT)}", _SUM
        case "mul":
            return f"{inside(node.args[0], _PRODUCT)}*{inside(node.args[1], _UNARY)}", _PRODUCT
        case "neg":
            return f"-{inside(node.args[0], _ATOM)}", _UNARY
    return f"{node.kind}({', '.join(inside(arg, _SUM) for arg in node.args)})", _ATOM
