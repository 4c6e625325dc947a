"""The operations of an integer network: NumPy arrays of codes in, codes out, every step exact.

The meaning of a tensor's codes is its :class:`hwnorm.fixed.FixedFormat`; an operation holds what it needs of
them as integers. Rounding is half up, ``floor(v + 1/2)``, and results saturate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hwnorm.datapath.ir import Datapath
from hwnorm.fixed import MAX_WIDTH, FixedFormat
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.layernorm.model import evaluate as layer_norm

Codes = npt.NDArray[Any]

#: Bits of a multiplier, its sign among them: a DSP48E2's narrow port.
MULTIPLIER_BITS = 18
#: The widest accumulator, as a DSP48E2 has it.
ACCUMULATOR_BITS = 48
#: The widest codes of a tensor, and of what attention's products read: any sum of these is exact.
_CODE_BITS, _FACTOR_BITS = 32, 16


def _wide(what: str, width: int) -> Iterator[str]:
    if width > MAX_WIDTH:
        yield f"{what} may need {width} bits; at most {MAX_WIDTH} are computed"


def _shifted(shift: int) -> Iterator[str]:
    if not 0 <= shift <= MAX_WIDTH:
        yield f"a shift by {shift}; 0 to {MAX_WIDTH} are computed"


def _misread(layer: FixedFormat, given: FixedFormat) -> Iterator[str]:
    if layer != given:
        yield f"it is made for {layer} and reads {given}"


def _factors(*formats: FixedFormat) -> Iterator[str]:
    for fmt in formats:
        if fmt.width > _FACTOR_BITS:
            yield f"a product of {fmt}; at most {_FACTOR_BITS} bits can be"


@dataclass(frozen=True, eq=False)
class IntegerOperation(ABC):
    """One step; ``out`` names the tensor that it makes, ``format`` what the codes of that mean."""

    out: str
    format: FixedFormat

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that it is computed from."""

    @abstractmethod
    def __call__(self, *codes: Codes) -> Codes:
        """Its tensor's codes, from those that it reads: int32, the images first."""

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        """Why its arithmetic would not be exact, given the formats of what it reads: one line each."""
        if self.format.width > _CODE_BITS:
            yield f"codes of {self.format.width} bits; at most {_CODE_BITS} can be"

    def _rescaled(self, values: npt.NDArray[np.int64], shift: int) -> Codes:
        """Divided by 2^shift, rounded half up and saturated."""
        rounded = (values + ((1 << shift) >> 1)) >> shift
        return np.asarray(np.clip(rounded, self.format.min_code, self.format.max_code), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class IntegerPatches(IntegerOperation):
    """Images' codes (n, C, H, W) cut into patches (n, tokens, C * height * width)."""

    x: str
    height: int
    width: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def __call__(self, *codes: Codes) -> Codes:
        (x,) = codes
        n, channels, height, width = x.shape
        rows, columns = height // self.height, width // self.width
        x = x[:, :, : rows * self.height, : columns * self.width]
        cut = x.reshape(n, channels, rows, self.height, columns, self.width).transpose(0, 2, 4, 1, 3, 5)
        return np.ascontiguousarray(cut.reshape(n, rows * columns, -1), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Table(IntegerOperation):
    """Codes (tokens, channels) that are the same for every image: what a stream begins with."""

    codes: Codes

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    def __call__(self, *codes: Codes) -> Codes:
        return self.codes[None].astype(np.int32)


@dataclass(frozen=True, eq=False)
class IntegerLinear(IntegerOperation):
    """sat(rnd(((x W^T + bias) * multiplier + residual << lift) >> shift)).

    ``weight`` is int8 (outputs, inputs), symmetric codes; ``bits`` (outputs,) says how wide each row's are.
    ``bias`` is int64 (outputs,) at the scale of the accumulator, ``multiplier`` int32 (outputs,), positive,
    of :data:`MULTIPLIER_BITS` bits. ``residual``, if any, names the stream that is added before the only
    rounding, exactly: its tokens before ``first`` have no x. ``layer`` is the module that it comes from.
    """

    x: str
    weight: npt.NDArray[np.int8]
    bits: npt.NDArray[np.uint8]
    bias: npt.NDArray[np.int64]
    multiplier: npt.NDArray[np.int32]
    shift: int
    layer: str
    residual: str | None = None
    lift: int = 0
    first: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,) if self.residual is None else (self.x, self.residual)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _shifted(self.shift)
        total, most = self.accumulator(formats[self.x]).width, int(self.multiplier.max()).bit_length()
        if total > ACCUMULATOR_BITS:
            yield f"its accumulator may need {total} bits; at most {ACCUMULATOR_BITS} are built"
        if most >= MULTIPLIER_BITS:
            yield f"a multiplier is {self.multiplier.max()}; at most {MULTIPLIER_BITS - 1} bits can be"
        yield from _wide(f"an accumulator of {total} bits times a multiplier of {most}", total + most)
        if self.residual is not None:
            yield from _wide("its stream at the scale of its sums", formats[self.residual].width + self.lift)
            if self.lift < 0:
                yield f"its stream {formats[self.residual]} is finer than its rescaling"

    def products(self, x: FixedFormat) -> FixedFormat:
        """The narrowest format that holds every sum of products, whatever codes x has."""
        return self._holding(self._reach(x))

    def accumulator(self, x: FixedFormat) -> FixedFormat:
        """The narrowest format that holds every sum of products and bias, whatever codes x has."""
        return self._holding(self._reach(x) + np.abs(self.bias))

    def _reach(self, x: FixedFormat) -> npt.NDArray[np.int64]:
        return np.asarray(self._magnitudes * -x.min_code)

    @staticmethod
    def _holding(reach: npt.NDArray[np.int64]) -> FixedFormat:
        return FixedFormat.holding(-int(reach.max()), int(reach.max()), 0)

    @cached_property
    def _magnitudes(self) -> npt.NDArray[np.int64]:
        """Of each row's weights, summed."""
        return np.asarray(np.abs(self.weight.astype(np.int64)).sum(1))

    @cached_property
    def largest(self) -> npt.NDArray[np.int64]:
        """The magnitude of each row's largest weight; 0 of none."""
        return np.asarray(np.abs(self.weight.astype(np.int64)).max(1, initial=0))

    @cached_property
    def _transposed(self) -> npt.NDArray[Any]:
        # float32 has every integer below 2^24: a product of 8-bit codes is a fast matrix product in it.
        most = int(self._magnitudes.max())
        assert most << 15 < 2**53
        return np.ascontiguousarray(self.weight.T, dtype=np.float32 if most << 7 < 2**24 else np.float64)

    def __call__(self, *codes: Codes) -> Codes:
        x = codes[0]
        weight = self._transposed
        if weight.dtype == np.float32 and max(-int(x.min()), int(x.max())) > 128:
            weight = weight.astype(np.float64)
        flat = x.reshape(-1, x.shape[-1]).astype(weight.dtype)
        total = product(flat, weight).astype(np.int64).reshape(*x.shape[:-1], -1)
        total += self.bias
        total *= self.multiplier
        if self.residual is not None:
            stream = codes[1].astype(np.int64) << self.lift
            if stream.shape[0] != total.shape[0]:
                stream = np.repeat(stream, len(total), axis=0)
            stream[:, self.first :] += total
            total = stream
        return self._rescaled(total, self.shift)


@dataclass(frozen=True, eq=False)
class IntegerFunction(IntegerOperation):
    """An elementwise function by its datapath; ``layer`` is the module that it comes from."""

    x: str
    datapath: Datapath
    layer: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _misread(self.datapath.input, formats[self.x])

    @cached_property
    def table(self) -> Codes:
        """What it makes of each code of the input's format, the lowest first."""
        found: Codes = self.datapath.evaluate(self.datapath.input.codes()).astype(np.int32)
        return found

    def __call__(self, *codes: Codes) -> Codes:
        return np.asarray(self.table[codes[0] - self.datapath.input.min_code])


@dataclass(frozen=True, eq=False)
class IntegerNorm(IntegerOperation):
    """LayerNorm as ``rtl/layernorm.v`` computes it, each head by itself."""

    x: str
    design: LayerNormDesign
    gamma: npt.NDArray[np.int64]
    beta: npt.NDArray[np.int64]
    heads: int
    layer: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _misread(self.design.input, formats[self.x])

    def __call__(self, *codes: Codes) -> Codes:
        tokens = codes[0].reshape(-1, self.design.channels).astype(np.int64)
        found = layer_norm(self.design, tokens, self.gamma, self.beta)
        return np.asarray(found, dtype=np.int32).reshape(codes[0].shape)


@dataclass(frozen=True, eq=False)
class IntegerAffine(IntegerOperation):
    """sat(rnd((x * multiplier + bias) >> shift)), a multiplier and a bias a channel."""

    x: str
    multiplier: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int64]
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _shifted(self.shift)
        reach = np.abs(self.multiplier.astype(np.int64)) * -formats[self.x].min_code + np.abs(self.bias)
        yield from _wide("a product and its bias", int(reach.max()).bit_length() + 1)

    def __call__(self, *codes: Codes) -> Codes:
        total = codes[0].astype(np.int64) * self.multiplier + self.bias
        return self._rescaled(total, self.shift)


@dataclass(frozen=True, eq=False)
class IntegerScores(IntegerOperation):
    """q k^T of each head, rescaled by a power of two: (n, heads, tokens, tokens), in powers of two."""

    q: str
    k: str
    heads: int
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.q, self.k)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _shifted(self.shift)
        yield from _factors(formats[self.q], formats[self.k])

    def __call__(self, *codes: Codes) -> Codes:
        q, k = (split_heads(c, self.heads).astype(np.float64) for c in codes)
        total = product(q, k.transpose(0, 1, 3, 2)).astype(np.int64)
        return self._rescaled(total, self.shift)


@dataclass(frozen=True, eq=False)
class Exponentials(IntegerOperation):
    """2^(score - largest score of the row), as a datapath has it: the softmax before its division."""

    x: str
    datapath: Datapath

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _misread(self.datapath.input, formats[self.x])

    @cached_property
    def table(self) -> Codes:
        """What becomes of each difference, from the lowest code of the input to 0."""
        found: Codes = self.datapath.evaluate(self.datapath.input.codes()).astype(np.int32)
        return found[: 1 - self.datapath.input.min_code]

    def __call__(self, *codes: Codes) -> Codes:
        x = codes[0].astype(np.int64)
        least = self.datapath.input.min_code
        below = np.maximum(x - x.max(-1, keepdims=True), least)
        return np.asarray(self.table[below - least])


@dataclass(frozen=True, eq=False)
class IntegerContext(IntegerOperation):
    """p v over the sum of p, of each head: one reciprocal a token and head, rnd(2^digits / sum).

    sat(rnd((p v * reciprocal) >> shift)).
    """

    p: str
    v: str
    heads: int
    digits: int
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.p, self.v)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _shifted(self.shift)
        yield from _factors(formats[self.p], formats[self.v])
        yield from _wide("a sum times a reciprocal", self.digits + formats[self.v].width)

    def __call__(self, *codes: Codes) -> Codes:
        p, v = codes
        factors = p.astype(np.float64), split_heads(v, self.heads).astype(np.float64)
        total = product(*factors).astype(np.int64)
        sums = p.sum(-1, dtype=np.int64, keepdims=True)
        total *= ((1 << self.digits) + sums // 2) // sums
        found = self._rescaled(total, self.shift)
        return found.transpose(0, 2, 1, 3).reshape(v.shape)


@dataclass(frozen=True, eq=False)
class IntegerPool(IntegerOperation):
    """sat(rnd((sum of the tokens from first up to end) * multiplier >> shift)): (n, 1, channels)."""

    x: str
    first: int
    end: int
    multiplier: int
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.x,)

    def faults(self, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
        yield from super().faults(formats)
        yield from _shifted(self.shift)
        reach = (self.end - self.first) * abs(self.multiplier) * -formats[self.x].min_code
        yield from _wide("a mean", reach.bit_length() + 1)

    def __call__(self, *codes: Codes) -> Codes:
        total = codes[0][:, self.first : self.end].sum(1, dtype=np.int64, keepdims=True) * self.multiplier
        return self._rescaled(total, self.shift)


def split_heads(x: Codes, heads: int) -> Codes:
    """(n, tokens, channels) to (n, heads, tokens, channels / heads)."""
    return x.reshape(*x.shape[:-1], heads, -1).transpose(0, 2, 1, 3)


def product(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """a b in the precision of both, by PyTorch: for work in several threads (:mod:`hwnorm.threads`).

    Of whole numbers it is exact where the sums are within what the type has.
    """
    return np.asarray(torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy())
