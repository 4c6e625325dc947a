"""The operations of a graph: what each reads, and what it computes of real values.

A tensor of one image is (tokens, channels), scores and probabilities (heads, tokens, tokens). All of them
are computed for some images at a time: the images are the first axis.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """One step; ``out`` names the tensor that it makes."""

    out: str

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that it is computed from."""

    @abstractmethod
    def __call__(self, *values: Tensor) -> Tensor:
        """Its tensor, from those that it reads."""


@dataclass(frozen=True, eq=False)
class Patches(Operation):
    """Cut images (n, C, H, W) into patches (n, tokens, C * height * width), in the order of a convolution."""

    x: str
    height: int
    width: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        (x,) = values
        size = (self.height, self.width)
        return F.unfold(x, size, stride=size).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class Embed(Operation):
    """Class and register tokens before the patches, and positions added: (n, tokens, channels).

    ``table`` is (tokens, channels): the tokens of its own, whole, and what is added to the patches behind.
    """

    x: str
    table: Tensor
    prefix: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        (x,) = values
        own = self.table[: self.prefix].expand(len(x), -1, -1)
        return torch.cat([own, x + self.table[self.prefix :]], dim=1)


@dataclass(frozen=True, eq=False)
class Linear(Operation):
    """x W^T + b; weight (outputs, inputs), bias (outputs,). ``layer`` is the module that they come from."""

    x: str
    weight: Tensor
    bias: Tensor
    layer: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        return F.linear(values[0], self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class Function(Operation):
    """An elementwise function; ``layer`` is the module it comes from."""

    x: str
    function: nn.Module
    layer: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        found: Tensor = self.function(values[0])
        return found


@dataclass(frozen=True, eq=False)
class Norm(Operation):
    """LayerNorm over the channels of each head: weight and bias (channels / heads,)."""

    x: str
    weight: Tensor
    bias: Tensor
    eps: float
    heads: int
    layer: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        split = values[0].reshape(*values[0].shape[:-1], self.heads, -1)
        return F.layer_norm(split, split.shape[-1:], self.weight, self.bias, self.eps).flatten(-2)


@dataclass(frozen=True, eq=False)
class Affine(Operation):
    """A weight and a bias a channel, which nothing linear behind has taken up."""

    x: str
    weight: Tensor
    bias: Tensor

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0] * self.weight + self.bias


@dataclass(frozen=True, eq=False)
class Scores(Operation):
    """q k^T of each head: (n, heads, tokens, tokens). The scale is in q."""

    q: str
    k: str
    heads: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.q, self.k)

    def __call__(self, *values: Tensor) -> Tensor:
        q, k = (split_heads(value, self.heads) for value in values)
        return q @ k.transpose(-1, -2)


@dataclass(frozen=True, eq=False)
class Softmax(Operation):
    """Over the last axis: powers of ``base`` over their sum."""

    x: str
    base: float = math.e

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        return (values[0] * math.log(self.base)).softmax(-1)


@dataclass(frozen=True, eq=False)
class Context(Operation):
    """p v of each head, the heads side by side: (n, tokens, channels)."""

    p: str
    v: str
    heads: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.p, self.v)

    def __call__(self, *values: Tensor) -> Tensor:
        p, v = values
        return (p @ split_heads(v, self.heads)).transpose(1, 2).flatten(2)


@dataclass(frozen=True, eq=False)
class Add(Operation):
    """The residual stream and what joins it."""

    stream: str
    x: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.stream, self.x)

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0] + values[1]


@dataclass(frozen=True, eq=False)
class Pool(Operation):
    """The mean of the tokens from ``first`` up to ``end``: (n, 1, channels). Of one token, that token."""

    x: str
    first: int
    end: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *values: Tensor) -> Tensor:
        return values[0][:, self.first : self.end].mean(1, keepdim=True)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(n, tokens, channels) to (n, heads, tokens, channels / heads)."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(1, 2)
