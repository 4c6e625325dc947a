"""A datapath as a PyTorch module: bit for bit what the hardware computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwnorm.datapath.ir import Datapath
from hwnorm.expression import parse
from hwnorm.operators.lookup import laid_out, look_up

#: One table entry for each input code: 2**16 float32 values are 256 KiB.
MAX_INPUT_BITS = 16


class _Tables(torch.autograd.Function):
    """Values by place, and gradients by the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(places, slopes)
        return look_up(values, places).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        places, slopes = ctx.saved_tensors
        return gradients[0] * look_up(slopes, places).to(gradients[0].dtype), None, None, None


class FixedPointFunction(nn.Module):
    """Elementwise: quantize to the input format, then look up what the datapath makes of that code.

    The input is rounded half up and saturated, as ``FixedFormat.quantize`` does; the output is the
    value of the output code in float32, rounded to the input's type. What is not a number stays none.
    Gradients are the expression's at that code, straight through both roundings (Y. Bengio et al., arXiv
    1308.3432), and zero where the input saturates.

    The tables of values and of gradients are no part of the ``state_dict``: a network loads the same weights
    whether its functions are float or bit-true. They have two entries a code, for the half steps 2x: halves
    round up when a half step becomes its code, so that nothing is added to x, and float32 is exact. The last
    entry is for what is not a number.

    Raises:
        ValueError: the input format has more than 16 bits.
    """

    table: Tensor
    slopes: Tensor | None

    def __init__(self, datapath: Datapath) -> None:
        super().__init__()
        self.input, self.output = datapath.input, datapath.output
        self.expression = datapath.expression
        if self.input.width > MAX_INPUT_BITS:
            raise ValueError(f"{self.input} input; a table of all codes holds at most {MAX_INPUT_BITS} bits")
        values = self.output.to_float(datapath.evaluate(self.input.codes()))
        steps = np.concatenate([values[:1], values[1:].repeat(2), values[-1:], [np.nan]])
        self.register_buffer("table", torch.from_numpy(steps).float(), persistent=False)
        # Made when a gradient is first asked for: most networks are only evaluated.
        self.register_buffer("slopes", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = laid_out(x)
        places = self._half_steps(x.detach())
        if not x.requires_grad or torch.compiler.is_exporting():
            return look_up(self.table, places).to(x.dtype)
        if self.slopes is None:
            self.slopes = self._slopes().to(self.table.device)
        found: Tensor = _Tables.apply(x, places, self.table, self.slopes)  # type: ignore[no-untyped-call]
        return found

    def _slopes(self) -> Tensor:
        """The expression's gradients, laid out as the table; float32."""
        at = torch.from_numpy(self.input.to_float(self.input.codes())).requires_grad_()
        with torch.enable_grad():
            (slopes,) = torch.autograd.grad(parse(self.expression).to_module()(at).sum(), at)
        # Where x saturates, the place in the table is one of its ends.
        ends = torch.zeros(1, dtype=slopes.dtype)
        return torch.cat([ends, slopes[1:].repeat_interleave(2), ends, ends]).float()

    def _half_steps(self, x: Tensor) -> Tensor:
        """Places in the table: int32, of x's shape."""
        first, scale = 2 * self.input.min_code, 2.0 ** (self.input.frac + 1)
        if x.dtype == torch.float64:
            # As ``FixedFormat.quantize`` rounds what float64 cannot tell from a half.
            steps = (x * (scale / 2)).add_(0.5).floor_().mul_(2.0)
        else:
            steps = (x.float() * scale).floor_()
        last = len(self.table) - 1
        return steps.sub_(first).clamp_(0, last - 1).nan_to_num_(last).int()

    def extra_repr(self) -> str:
        return f"{self.expression!r}, {self.input} -> {self.output}"
