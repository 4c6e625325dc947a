"""An integer network that gradients pass through: fine-tuning with every rounding in the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.datapath.module import FixedPointFunction
from hwnorm.fixed import FixedFormat
from hwnorm.graph.operations import Context, Norm, Patches, Pool, Scores
from hwnorm.integers.formats import quantized
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork
from hwnorm.integers.operations import (
    Exponentials,
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)
from hwnorm.integers.rows import largest_code


class TrainableNetwork(nn.Module):
    """An integer network in floating point: the same roundings and saturations, and gradients through them.

    Gradients of a rounding are those of its argument, and zero where it saturates (Y. Bengio et al., arXiv
    1308.3432); those of a function are its expression's. Weights, biases, tables and the norms' parameters
    are trained; formats, each row's bits and scale stay. Normalized images (n, C, H, W) in, the logits'
    values (n, classes) out. From the same codes every step makes the integers' codes or their neighbours:
    sums are rounded to float32, the softmax's reciprocal and LayerNorm are not rounded at all.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: IntegerNetwork) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(part)[:, None, None] for part in (network.pixels.mean, network.pixels.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        formats = network.formats
        self.steps = nn.ModuleList(
            _step(op, [formats[name] for name in op.reads]) for op in network.operations
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.trace(images)[self.network.operations[-1].out].flatten(1)

    def trace(self, images: Tensor) -> dict[str, Tensor]:
        """The values of every tensor, by name."""
        pixels = (images * self.std + self.mean) * 255 - 128
        values = {IMAGES: rounded(pixels * PIXELS.ulp, PIXELS)}
        for op, step in zip(self.network.operations, self.steps, strict=True):
            values[op.out] = step(*(values[name] for name in op.reads))
        return values

    def to_integers(self) -> IntegerNetwork:
        """The integer network of the trained parameters.

        Raises:
            InputError: training has made one whose sums are wider than what is built.
        """
        made = tuple(
            step.trained() if isinstance(step, _Trained) else op
            for op, step in zip(self.network.operations, self.steps, strict=True)
        )
        return IntegerNetwork(self.network.pixels, made)


def rounded(x: Tensor, fmt: FixedFormat) -> Tensor:
    """Values rounded half up and saturated to a format's, straight through for gradients."""
    found: Tensor = _Rounding.apply(x, fmt)  # type: ignore[no-untyped-call]
    return found


class _Rounding(torch.autograd.Function):
    """One pass over the gradient, where the composition of roundings and clamps takes several."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fmt: FixedFormat) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ends = fmt.low - fmt.ulp / 2, fmt.high + fmt.ulp / 2
        return quantized(x, fmt)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        # The gradient itself between the ends, which round to the format's outermost codes; zero elsewhere.
        return torch.ops.aten.hardtanh_backward(gradients[0], x, *ctx.ends), None


class _Trained(nn.Module, ABC):
    """The step of an operation that has parameters."""

    @abstractmethod
    def trained(self) -> IntegerOperation:
        """The operation with the parameters as they are now."""


class _Linear(_Trained):
    step: Tensor
    most: Tensor

    def __init__(self, op: IntegerLinear, x: FixedFormat) -> None:
        super().__init__()
        self.op = op
        # Of a code of the weight: the sums' unit is that of x.
        step = op.multiplier * 2.0**-op.shift * op.format.ulp / x.ulp
        self.unit = x.ulp
        self.register_buffer("step", torch.from_numpy(step).float()[:, None])
        self.register_buffer("most", torch.from_numpy(largest_code(op.bits)).float()[:, None])
        self.weight = nn.Parameter(torch.from_numpy(op.weight * step[:, None]).float())
        self.bias = nn.Parameter(torch.from_numpy(op.bias * step * x.ulp).float())

    def codes(self) -> Tensor:
        """Of the weights, with their gradients in units of codes."""
        found = (self.weight / self.step).clamp(-self.most, self.most)
        return found + (found.round() - found).detach()

    def forward(self, *values: Tensor) -> Tensor:
        # Products of codes are exact even in bfloat16; the scale comes after them, as in hardware.
        sums = F.linear(values[0], self.codes()).float()
        made = torch.addcmul(self.bias, sums, self.step[:, 0])
        if self.op.residual is not None:
            stream, first = values[1].expand(len(made), -1, -1), self.op.first
            made = torch.cat([stream[:, :first], stream[:, first:] + made], dim=1)
        return rounded(made, self.op.format)

    def trained(self) -> IntegerOperation:
        codes = self.codes().detach().cpu().numpy().round().astype(np.int8)
        step = self.step[:, 0].double().cpu().numpy() * self.unit
        bias = np.round(self.bias.detach().double().cpu().numpy() / step).astype(np.int64)
        return replace(self.op, weight=codes, bias=bias)


class _Table(_Trained):
    def __init__(self, op: Table) -> None:
        super().__init__()
        self.op = op
        self.values = nn.Parameter(torch.from_numpy(op.format.to_float(op.codes)).float())

    def forward(self, *values: Tensor) -> Tensor:
        return rounded(self.values, self.op.format)[None]

    def trained(self) -> IntegerOperation:
        codes = self.op.format.quantize(self.values.detach().double().cpu().numpy())
        return replace(self.op, codes=codes.astype(np.int32))


class _Norm(_Trained):
    def __init__(self, op: IntegerNorm) -> None:
        super().__init__()
        self.op = op
        assert op.design.gamma is not None
        assert op.design.beta is not None
        self.formats = op.design.gamma, op.design.beta
        gamma, beta = (
            torch.from_numpy(fmt.to_float(codes)).float()
            for fmt, codes in zip(self.formats, (op.gamma, op.beta), strict=True)
        )
        self.weight, self.bias = nn.Parameter(gamma), nn.Parameter(beta)

    def forward(self, *values: Tensor) -> Tensor:
        gamma, beta = rounded(self.weight, self.formats[0]), rounded(self.bias, self.formats[1])
        norm = Norm(self.op.out, self.op.x, gamma, beta, self.op.design.eps, self.op.heads, self.op.layer)
        return rounded(norm(values[0].float()), self.op.format)

    def trained(self) -> IntegerOperation:
        gamma, beta = (
            fmt.quantize(p.detach().double().cpu().numpy()).astype(np.int64)
            for p, fmt in zip((self.weight, self.bias), self.formats, strict=True)
        )
        return replace(self.op, gamma=gamma, beta=beta)


class _Affine(_Trained):
    def __init__(self, op: IntegerAffine, x: FixedFormat) -> None:
        super().__init__()
        self.op = op
        self.unit = 2.0**-op.shift * op.format.ulp / x.ulp, 2.0**-op.shift * op.format.ulp
        self.weight = nn.Parameter(torch.from_numpy(op.multiplier * self.unit[0]).float())
        self.bias = nn.Parameter(torch.from_numpy(op.bias * self.unit[1]).float())

    def forward(self, *values: Tensor) -> Tensor:
        return rounded(values[0] * self.weight + self.bias, self.op.format)

    def trained(self) -> IntegerOperation:
        multiplier, bias = (
            np.round(p.detach().double().cpu().numpy() / unit)
            for p, unit in zip((self.weight, self.bias), self.unit, strict=True)
        )
        return replace(self.op, multiplier=multiplier.astype(np.int32), bias=bias.astype(np.int64))


class _Exponentials(nn.Module):
    def __init__(self, op: Exponentials) -> None:
        super().__init__()
        self.function = FixedPointFunction(op.datapath)

    def forward(self, *values: Tensor) -> Tensor:
        (x,) = values
        # No gradient to the largest: it cancels in the quotient behind.
        found: Tensor = self.function(x - x.detach().amax(-1, keepdim=True))
        return found


class _Context(nn.Module):
    def __init__(self, op: IntegerContext) -> None:
        super().__init__()
        self.op = op
        self.operation = Context(op.out, op.p, op.v, op.heads)

    def forward(self, *values: Tensor) -> Tensor:
        p, v = values
        sums = p.sum(-1).transpose(1, 2).repeat_interleave(v.shape[-1] // self.op.heads, -1)
        return rounded(self.operation(p, v).float() / sums, self.op.format)


class _Fixed(nn.Module):
    """The step of an operation without parameters, whose result is rounded."""

    def __init__(self, operation: Patches | Scores | Pool, fmt: FixedFormat) -> None:
        super().__init__()
        self.operation, self.format = operation, fmt

    def forward(self, *values: Tensor) -> Tensor:
        return rounded(self.operation(*values).float(), self.format)


def _step(op: IntegerOperation, reads: Sequence[FixedFormat]) -> nn.Module:
    match op:
        case IntegerLinear():
            return _Linear(op, reads[0])
        case Table():
            return _Table(op)
        case IntegerNorm():
            return _Norm(op)
        case IntegerAffine():
            return _Affine(op, reads[0])
        case IntegerFunction():
            return FixedPointFunction(op.datapath)
        case Exponentials():
            return _Exponentials(op)
        case IntegerContext():
            return _Context(op)
        case IntegerPatches():
            return _Fixed(Patches(op.out, op.x, op.height, op.width), op.format)
        case IntegerScores():
            return _Fixed(Scores(op.out, op.q, op.k, op.heads), op.format)
        case IntegerPool():
            return _Fixed(Pool(op.out, op.x, op.first, op.end), op.format)
    raise TypeError(f"{type(op).__name__} has no gradients")
