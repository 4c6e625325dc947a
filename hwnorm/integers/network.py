"""A network as integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.operations import Codes, IntegerLinear, IntegerOperation
from hwnorm.threads import in_threads

#: The tensor that a network begins with, and its codes: a pixel's byte less 128.
IMAGES, PIXELS = "images", FixedFormat(8, 7)
#: Images that are worked on together: their tensors stay near a core.
_TOGETHER = 10


@dataclass(frozen=True)
class Pixels:
    """How normalized pixels become codes: bytes again, and 128 less.

    ``mean`` and ``std`` (channels,) are of pixels from 0 to 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Pixels:
        """Those of a model's data config."""
        return cls(tuple(map(float, config["mean"])), tuple(map(float, config["std"])))

    def codes(self, images: npt.NDArray[np.floating]) -> Codes:
        """Of normalized images, float (n, C, H, W): int32, rounded half up and saturated."""
        mean, std = (np.asarray(of, dtype=np.float64)[:, None, None] for of in (self.mean, self.std))
        pixels = np.floor((images.astype(np.float64) * std + mean) * 255 + 0.5)
        return (np.clip(pixels, 0, 255) - 128).astype(np.int32)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """The normalized value of a step of 1 / 128 of a code's value, by channel."""
        return np.asarray(128 / 255 / np.asarray(self.std))

    @property
    def zero(self) -> npt.NDArray[np.float64]:
        """The normalized value of code 0, by channel."""
        return np.asarray((128 / 255 - np.asarray(self.mean)) / np.asarray(self.std))


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Integer operations in order of execution; the last one makes the logits, or features.

    Raises:
        InputError: an operation would not be exact, or wider than it is built
            (:meth:`IntegerOperation.faults`); names it.
    """

    pixels: Pixels
    operations: tuple[IntegerOperation, ...]

    def __post_init__(self) -> None:
        formats = self.formats
        for op in self.operations:
            for fault in op.faults(formats):
                raise InputError(f"layer {op.out!r}: {fault}")

    @property
    def formats(self) -> dict[str, FixedFormat]:
        """What the codes of each tensor mean."""
        return {IMAGES: PIXELS} | {op.out: op.format for op in self.operations}

    @property
    def linears(self) -> tuple[IntegerLinear, ...]:
        return tuple(op for op in self.operations if isinstance(op, IntegerLinear))

    @property
    def output(self) -> FixedFormat:
        """The format of the logits."""
        return self.operations[-1].format

    def evaluate(self, images: npt.NDArray[np.floating]) -> Codes:
        """The codes of the logits for normalized images (n, C, H, W): int32 (n, classes). The definition."""

        def part(some: npt.NDArray[np.floating]) -> Codes:
            for op, values in self._steps(some):
                found = values[op.out]
            return found.reshape(len(some), -1)

        parts = [images[i : i + _TOGETHER] for i in range(0, len(images), _TOGETHER)]
        return np.concatenate(list(in_threads(part, parts)))

    def trace(self, images: npt.NDArray[np.floating]) -> dict[str, Codes]:
        """The codes of every tensor, by name."""
        found = {}
        for _, values in self._steps(images, keep=True):
            found = values
        return found

    def to_module(self) -> IntegerModule:
        """The same as a PyTorch module, which gives the logits' values."""
        return IntegerModule(self)

    def _steps(
        self, images: npt.NDArray[np.floating], keep: bool = False
    ) -> Iterator[tuple[IntegerOperation, dict[str, Codes]]]:
        last = {name: i for i, op in enumerate(self.operations) for name in op.reads}
        values = {IMAGES: self.pixels.codes(images)}
        for i, op in enumerate(self.operations):
            values[op.out] = op(*(values[name] for name in op.reads))
            if not keep:
                for name in set(op.reads):
                    if last[name] == i:
                        del values[name]
            yield op, values


class IntegerModule(nn.Module):
    """The values of an integer network's logits, for normalized images (n, C, H, W): float64 (n, classes).

    Without gradients: every step is exact, in integers.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        codes = self.network.evaluate(images.detach().cpu().numpy())
        return torch.from_numpy(self.network.output.to_float(codes)).to(images.device)
