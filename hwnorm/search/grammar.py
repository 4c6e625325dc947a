"""The grammar of the search as a DEAP primitive set, and the way from its trees to expressions."""

from __future__ import annotations

import math
import random
from typing import Any

from deap import gp

from hwnorm.datapath.csd import snap
from hwnorm.expression import Expression, X, apply, constant


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
    "clip": ("clip", (Signal, Limit)),
    "square": ("square", (Signal,)),
    "tanh": ("tanh", (Signal,)),
    "sigmoid": ("sigmoid", (Signal,)),
}


def random_limit() -> float:
    """A positive constant of two signed digits, log-uniform between 1/16 and 8."""
    return snap(math.exp(random.uniform(math.log(1 / 16), math.log(8.0))), 2)


def random_factor() -> float:
    """As :func:`random_limit`, with either sign."""
    return random_limit() * random.choice((-1.0, 1.0))


def primitive_set() -> gp.PrimitiveSetTyped:
    """The typed primitive set; the trees are never compiled, only turned into expressions."""
    pset = gp.PrimitiveSetTyped("layer", [Signal], Signal)
    for name, (_, types) in SIGNATURES.items():
        pset.addPrimitive(_never_called, list(types), Signal, name=name)
    pset.addEphemeralConstant("factor", random_factor, Factor)
    pset.addEphemeralConstant("limit", random_limit, Limit)
    return pset


def _never_called(*args: Any) -> Any:
    raise AssertionError("trees become expressions before they are evaluated")


def to_expression(tree: gp.PrimitiveTree) -> Expression:
    """The expression that a tree stands for."""
    stack: list[tuple[Any, list[Expression]]] = []
    for node in tree:
        stack.append((node, []))
        while len(stack[-1][1]) == stack[-1][0].arity:
            done, args = stack.pop()
            value = _leaf(done) if done.arity == 0 else apply(SIGNATURES[done.name][0], *args)
            if not stack:
                return value
            stack[-1][1].append(value)
    raise AssertionError("a tree ends with its root complete")


def _leaf(node: Any) -> Expression:
    return constant(node.value) if isinstance(node.value, float) else X


def to_tree(expression: Expression, pset: gp.PrimitiveSetTyped) -> gp.PrimitiveTree:
    """A tree for a seed expression, built of the grammar's operators."""
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
            for name, (operator, wanted) in SIGNATURES.items():
                if (
                    operator == part.kind
                    and len(wanted) == len(types)
                    and all((w is Signal) == (t is Signal) for w, t in zip(wanted, types, strict=True))
                ):
                    nodes.append(pset.mapping[name])
                    for arg, kind_of_arg in zip(part.args, wanted, strict=True):
                        visit(arg, kind_of_arg)
                    return
            raise AssertionError(f"{part} is not of the grammar")

    visit(expression, Signal)
    return gp.PrimitiveTree(nodes)


def grow(pset: gp.PrimitiveSetTyped, low: int, high: int, kind: type = Signal) -> list[Any]:
    """Random nodes of a tree of that type, between ``low`` and ``high`` levels deep where possible.

    DEAP's own generator fails where a type has terminals only; here such a place takes one.
    """
    height = random.randint(low, high)
    nodes: list[Any] = []
    pending: list[tuple[int, type]] = [(0, kind)]
    while pending:
        depth, wanted = pending.pop()
        leaf = depth >= height or (depth >= low and random.random() < pset.terminalRatio)
        if leaf or not pset.primitives[wanted]:
            terminal = random.choice(pset.terminals[wanted])
            nodes.append(terminal() if isinstance(terminal, type) else terminal)
        else:
            primitive = random.choice(pset.primitives[wanted])
            nodes.append(primitive)
            pending.extend((depth + 1, arg) for arg in reversed(primitive.args))
    return nodes
