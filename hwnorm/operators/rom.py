"""A table of values of one's own choice, one for each of equally wide cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnorm.operators.base import (
    Bound,
    Interval,
    Lowering,
    Operand,
    Operator,
    Signal,
    as_number,
    as_signal,
)
from hwnorm.operators.lookup import look_up

#: The most values that are read.
_MOST = 1024


def _is_power_of_two(value: float) -> bool:
    return value > 0 and math.frexp(value)[0] == 0.5


def _cell(*constants: Any) -> float:
    """The width of a cell, given the constant arguments."""
    return float((constants[1] - constants[0]) / len(constants[2:]))


class _LookUp(torch.autograd.Function):
    """A look-up whose gradient is the slope of the line through the middles of the cells.

    That of a staircase is zero, and what stands before it in a network would learn nothing.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, low: float, cell: float) -> Tensor:
        ctx.save_for_backward(x, values)
        ctx.low, ctx.cell = low, cell
        return _look_up(x, values, low, cell)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        x, values = ctx.saved_tensors
        # Flat before the first middle and behind the last.
        slopes = torch.nn.functional.pad(values.diff() / ctx.cell, (1, 1))
        return gradients[0] * _look_up(x, slopes, ctx.low - ctx.cell / 2, ctx.cell), None, None, None


def _look_up(x: Tensor, values: Tensor, low: float, cell: float) -> Tensor:
    """The values at ``x`` in its type; what is not a number stays none."""
    # Types of 16 bits have not the digits that tell the cells of a large table apart.
    wide = x.detach().float() if x.dtype in (torch.float16, torch.bfloat16) else x.detach()
    # A cell is a power of two wide: multiplying by its reciprocal is exact.
    index = (wide - low).mul_(1 / cell).floor_().clamp_(0, len(values) - 1).nan_to_num_(len(values))
    return look_up(torch.nn.functional.pad(values, (0, 1), value=torch.nan), index.int())


class Rom(Operator):
    """``rom(x, low, high, v0, v1, ...)``: low..high in equal cells, a value each; the ends' go on outside.

    The number of values and the width of a cell are powers of two, so that the cell of x is exact in
    fixed point. Its gradient in PyTorch is that of the line through the cells' middles.
    """

    name = "rom"
    arity = (4, 3 + _MOST)
    examples = ("rom(x, -4, 4, 1, -0.3, 0.25, 2)", "rom(abs(x), 0.5, 2.5, 3, -1)")
    constant_arguments = frozenset(range(1, 3 + _MOST))
    stepped = True

    def torch(self, *args: Any) -> Any:
        x, low, *_ = args
        table = x.new_tensor(args[3:]), low, _cell(*args[1:])
        if not x.requires_grad or torch.compiler.is_exporting():
            return _look_up(x, *table)
        return _LookUp.apply(x, *table)  # type: ignore[no-untyped-call]

    def numpy(self, *args: Any) -> Any:
        x, low, *_ = args
        last = len(args) - 4
        index = np.nan_to_num(
            np.clip(np.floor((np.asarray(x) - low) / _cell(*args[1:])), 0, last), nan=last + 1
        )
        return np.asarray([*args[3:], np.nan], dtype=np.float64)[index.astype(np.int64)]

    def _values(self, *args: Interval) -> tuple[float, ...]:
        """Those of the cells that the argument's interval meets."""
        constants = [c for c, _ in args[1:]]
        last = len(constants) - 3
        least, most = (min(max(math.floor((x - constants[0]) / _cell(*constants)), 0), last) for x in args[0])
        return tuple(constants[2:][least : most + 1])

    def interval(self, *args: Interval) -> Interval:
        values = self._values(*args)
        return min(values), max(values)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        jumps = len(set(self._values(*args))) > 1
        return math.inf if jumps else 0.0, *(0.0 for _ in args[1:])

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        constants = tuple(as_number(c) for c in args[1:])
        return build.function(as_signal(build, args[0]), Bound(self, constants))

    def check(self, *args: float | None) -> str | None:
        constants = [c for c in args[1:] if c is not None]
        low, high = constants[:2]
        count = len(constants) - 2
        if not _is_power_of_two(count):
            return f"rom has {count} values; their number must be a power of two"
        if not _is_power_of_two(_cell(*constants)):
            return (
                f"rom's {count} cells from {low:g} to {high:g} are {_cell(*constants):g} wide; "
                "the width must be a power of two"
            )
        return None
