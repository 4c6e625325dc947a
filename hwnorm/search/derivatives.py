"""The slopes of operators: analytic where they are known here, else by central differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hwnorm.operators import operator

#: Of an operator's arguments and its result: the slope in each argument, an array or a number.
Slopes = Callable[[list[Any], Any], tuple[Any, ...]]

#: Relative step of a central difference: the cube root of the precision, where its error is least.
_STEP = 6e-6


def _clip(args: list[Any], out: Any) -> tuple[Any, ...]:
    x = args[0]
    low, high = (-args[1], args[1]) if len(args) == 2 else args[1:]
    above, below = x > high, x < low
    inside = 1.0 - above - below
    if len(args) == 2:
        return inside, above.astype(float) - below
    return inside, below.astype(float), above.astype(float)


_ANALYTIC: dict[str, Slopes] = {
    "add": lambda args, out: (1.0, 1.0),
    "sub": lambda args, out: (1.0, -1.0),
    "mul": lambda args, out: (args[1], args[0]),
    "neg": lambda args, out: (-1.0,),
    "abs": lambda args, out: (np.sign(args[0]),),
    "min": lambda args, out: (first := (args[0] <= args[1]).astype(float), 1.0 - first),
    "max": lambda args, out: (first := (args[0] >= args[1]).astype(float), 1.0 - first),
    "clip": _clip,
    "square": lambda args, out: (2.0 * args[0],),
    "relu": lambda args, out: ((args[0] > 0.0).astype(float),),
    "hardtanh": lambda args, out: ((np.abs(args[0]) < 1.0).astype(float),),
    "tanh": lambda args, out: (1.0 - out * out,),
    "sigmoid": lambda args, out: (out * (1.0 - out),),
    "erf": lambda args, out: (2.0 / math.sqrt(math.pi) * np.exp(-args[0] * args[0]),),
    "exp": lambda args, out: (out,),
    "exp2": lambda args, out: (math.log(2.0) * out,),
    "log2": lambda args, out: (1.0 / (math.log(2.0) * args[0]),),
    "sqrt": lambda args, out: (0.5 / out,),
    "rsqrt": lambda args, out: (-0.5 * out**3,),
    "reciprocal": lambda args, out: (-out * out,),
}


def slopes(name: str, args: list[Any], out: Any) -> tuple[Any, ...]:
    """The partial derivatives of the operator ``name`` in each argument, at ``args`` with result ``out``.

    At a kink the slope of one side. Not finite outside the domain, and at a vertical tangent.
    """
    if name in _ANALYTIC:
        return _ANALYTIC[name](args, out)
    function = operator(name).numpy
    found = []
    for i, arg in enumerate(args):
        step = _STEP * np.maximum(1.0, np.abs(arg))
        ahead, behind = (function(*args[:i], arg + s, *args[i + 1 :]) for s in (step, -step))
        found.append((ahead - behind) / (2.0 * step))
    return tuple(found)
