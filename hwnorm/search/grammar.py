"""The grammar of the search as a DEAP primitive set, and the way from its trees to expressions."""

from __future__ import annotations

import math
import random
from typing import Any

from deap import gp
from deap.tools import emo

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant
from hwnorm.lowering.csd import snap
from hwnorm.operators import registry

#: The search's own random stream: others draw from Python's, a Dask worker's own threads among them.
RNG = random.Random()
emo.random = gp.random = RNG  # what DEAP itself draws from


class Signal:
    """Type of a value that depends on x."""


class Factor:
    """Type of a constant of either sign."""


class Limit:
    """Type of a positive constant."""


#: Primitives of the search: operator -> types of its arguments. ``mul`` and ``add`` appear with a
#: constant too, as shift-and-add and as an offset.
SIGNATURES: dict[str, tuple[str, tuple[type, ...]]] = {
    "add": ("add", (Signal, Signal)),
    "sub": ("sub", (Signal, Signal)),
    "mul": ("mul", (Signal, Signal)),
    "scale": ("mul", (Factor, Signal)),
    "offset": ("add", (Signal, Factor)),
    "neg": ("neg", (Signal,)),
    "abs": ("abs", (Signal,)),
    "min": ("min", (Signal, Signal)),
    "max": ("max", (Signal, Signal)),
    "most": ("min", (Signal, Factor)),
    "least": ("max", (Signal, Factor)),
    "clip": ("clip", (Signal, Limit)),
    "square": ("square", (Signal,)),
    "tanh": ("tanh", (Signal,)),
    "sigmoid": ("sigmoid", (Signal,)),
    "rsqrt": ("rsqrt", (Signal,)),
}


def random_limit() -> float:
    """A positive constant of two signed digits, log-uniform between 1/16 and 8."""
    return snap(math.exp(RNG.uniform(math.log(1 / 16), math.log(8.0))), 2)


def random_factor() -> float:
    """As :func:`random_limit`, with either sign."""
    return random_limit() * RNG.choice((-1.0, 1.0))


#: Constant factors and offsets are in every grammar: gain and offset are fitted anyhow.
_ALWAYS = frozenset({"scale", "offset"})
#: Operators that come with another: a canonical form may hold them instead.
_IMPLIED = {
    "max": ("min",),
    "min": ("max",),
    "mul": ("square",),
    "sigmoid": ("tanh",),
    "sub": ("add",),
    "tanh": ("sigmoid",),
}


def operators_of(text: str | None) -> frozenset[str] | None:
    """The operators named in ``add,clip,tanh``, and those that they imply; None for None.

    Raises:
        InputError: one is unknown, or there is none.
    """
    if text is None:
        return None
    names = {name.strip() for name in text.split(",")} - {""}
    unknown = sorted(names - set(registry()))
    if unknown or not names:
        what = f"{unknown[0]!r} is no operator" if unknown else "none named"
        raise InputError(f"option --operators: {what}; there are {', '.join(registry())}")
    return frozenset(names).union(*(_IMPLIED.get(name, ()) for name in names))


def primitive_set(operators: frozenset[str] | None = None) -> gp.PrimitiveSetTyped:
    """The typed primitive set; the trees are never compiled, only turned into expressions.

    Args:
        operators: what may be used: of SIGNATURES, and every other operator of one signal and nothing
            else; None for all of SIGNATURES and no other.
    """
    pset = gp.PrimitiveSetTyped("layer", [Signal], Signal)
    for name, (operator, types) in SIGNATURES.items():
        if operators is None or operator in operators or name in _ALWAYS:
            pset.addPrimitive(_never_called, list(types), Signal, name=name)
    for name in sorted((operators or frozenset()) - {operator for operator, _ in SIGNATURES.values()}):
        if registry()[name].arity == (1, 1):
            pset.addPrimitive(_never_called, [Signal], Signal, name=name)
    pset.addEphemeralConstant("factor", random_factor, Factor)
    pset.addEphemeralConstant("limit", random_limit, Limit)
    return pset


def _operator(primitive: str) -> str:
    return SIGNATURES[primitive][0] if primitive in SIGNATURES else primitive


def _never_called(*args: Any) -> Any:
    raise AssertionError("trees become expressions before they are evaluated")


def to_expression(tree: gp.PrimitiveTree) -> Expression:
    """The expression that a tree stands for."""
    stack: list[tuple[Any, list[Expression]]] = []
    for node in tree:
        stack.append((node, []))
        while len(stack[-1][1]) == stack[-1][0].arity:
            done, args = stack.pop()
            value = _leaf(done) if done.arity == 0 else apply(_operator(done.name), *args)
            if not stack:
                return value
            stack[-1][1].append(value)
    raise AssertionError("a tree ends with its root complete")


def _leaf(node: Any) -> Expression:
    return constant(node.value) if isinstance(node.value, float) else X


def to_tree(expression: Expression, pset: gp.PrimitiveSetTyped) -> gp.PrimitiveTree:
    """The tree of an expression.

    Raises:
        ValueError: it holds an operator that is not of the grammar.
    """
    nodes: list[Any] = []

    def visit(part: Expression, kind: type) -> None:
        if part.kind == "x":
            nodes.append(pset.terminals[Signal][0])
        elif part.is_constant:
            ephemeral = pset.mapping["limit" if kind is Limit else "factor"]()
            ephemeral.value = part.value
            nodes.append(ephemeral)
        else:
            types = tuple(Factor if arg.is_constant else Signal for arg in part.args)
            for primitive in pset.primitives[Signal]:
                wanted = primitive.args
                if (
                    _operator(primitive.name) == part.kind
                    and len(wanted) == len(types)
                    and all((w is Signal) == (t is Signal) for w, t in zip(wanted, types, strict=True))
                ):
                    nodes.append(primitive)
                    for arg, kind_of_arg in zip(part.args, wanted, strict=True):
                        visit(arg, kind_of_arg)
                    return
            raise ValueError(f"{part} is not of the grammar")

    visit(expression, Signal)
    return gp.PrimitiveTree(nodes)


def grow(pset: gp.PrimitiveSetTyped, low: int, high: int, kind: type = Signal) -> list[Any]:
    """Random nodes of a tree of that type, between ``low`` and ``high`` levels deep where possible.

    DEAP's own generator fails where a type has terminals only; here such a place takes one.
    """
    height = RNG.randint(low, high)
    nodes: list[Any] = []
    pending: list[tuple[int, type]] = [(0, kind)]
    while pending:
        depth, wanted = pending.pop()
        leaf = depth >= height or (depth >= low and RNG.random() < pset.terminalRatio)
        if leaf or not pset.primitives[wanted]:
            terminal = RNG.choice(pset.terminals[wanted])
            nodes.append(terminal() if isinstance(terminal, type) else terminal)
        else:
            primitive = RNG.choice(pset.primitives[wanted])
            nodes.append(primitive)
            pending.extend((depth + 1, arg) for arg in reversed(primitive.args))
    return nodes
