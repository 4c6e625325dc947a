"""A package as verification sees it: its files, its kernel, and the beats to send through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwnorm.emit.stage import ElementStage
from hwnorm.fixed import byte_bits
from hwnorm.kernel.manifest import hash_of
from hwnorm.kernel.package import Package, load_package
from hwnorm.kernel.stimulus import protocol_plan, tdata
from hwnorm.kernel.stream import StreamKernel


@dataclass(frozen=True)
class Kernel:
    """A package, and the input codes that verification runs through it.

    ``codes`` is int64 of shape (beats, lanes): whole tokens in the order of the stream.
    """

    package: Package
    codes: np.ndarray

    @property
    def stream(self) -> StreamKernel:
        """What it computes, bit for bit."""
        return self.package.kernel

    @property
    def folder(self) -> Path:
        return self.package.folder

    @property
    def top(self) -> str:
        return self.stream.top

    @property
    def lanes(self) -> int:
        return self.stream.lanes

    @property
    def latency(self) -> int:
        return self.stream.latency

    @property
    def scalar(self) -> bool:
        """Whether there are renderings without a stream: a combinational core, and C++."""
        return isinstance(self.stream, ElementStage)

    @property
    def rtl(self) -> list[Path]:
        """The Verilog of the stage (absolute)."""
        return self.package.rtl

    @property
    def comb(self) -> Path:
        """The combinational core, which nothing else instantiates; of a ``scalar`` kernel alone."""
        return self.folder.resolve() / "rtl" / f"{self.top}_comb.v"

    @property
    def verilog(self) -> list[Path]:
        """All of its Verilog that the bench is made of."""
        return [*self.rtl, *([self.comb] if self.scalar else [])]

    @cached_property
    def results(self) -> np.ndarray:
        """What must come out for ``codes``: int64, same shape."""
        # An element of a scalar kernel is a token of its own, in any number of lanes.
        if self.scalar:
            return self.stream.evaluate(self.codes)
        tokens = self.codes.reshape(-1, self.stream.beats * self.lanes)
        return self.stream.evaluate(tokens).reshape(self.codes.shape)

    def bench_context(self) -> dict[str, Any]:
        """What the bench's template says about it."""
        beats, fmt = len(self.codes), self.stream.output
        return {
            "top": self.top,
            "parameters": self.stream.parameters,
            "scalar": self.scalar,
            "keeps": self.stream.keeps,
            "s_width": self.lanes * byte_bits(self.stream.input),
            "m_width": self.lanes * byte_bits(fmt),
            "x_width": self.stream.input.width,
            "y_width": fmt.width,
            "beats": beats,
            "limit": 2 * beats + self.latency + 1000,
        }

    def beats_in(self) -> list[int]:
        """TDATA of every beat to send."""
        return tdata(self.codes, self.stream.input)

    def plan(self, seed: int) -> dict[str, Any]:
        """What the protocol test and the sweep must know about it in the bench."""
        plan = protocol_plan(self.stream, prefix=f"{self.top}_", seed=seed)
        return plan | {"limit": self.bench_context()["limit"]}


def words(values: Sequence[int], width: int) -> str:
    """TDATA words as ``$readmemh`` reads them."""
    digits = (width + 3) // 4
    return "".join(f"{value:0{digits}x}\n" for value in values)


def load_kernel(folder: Path, seed: int) -> Kernel:
    """Read a package, and what its kernel wants to be sent.

    Raises:
        InputError: the folder holds no package, or a file of it is missing, damaged or altered.
    """
    package = load_package(folder)
    return Kernel(package, package.kernel.to_send(seed).reshape(-1, package.kernel.lanes))


def groups(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """Kernels that can share one model and one program.

    No top module twice, and files of one name are the same; the packages of one run make a single group.
    """
    made: list[tuple[list[Kernel], dict[str, str]]] = []
    for kernel in kernels:
        files = {path.name: hash_of(path) for path in _shared(kernel)}
        for group, known in made:
            same = all(known.get(name, sha) == sha for name, sha in files.items())
            if same and kernel.top not in (other.top for other in group):
                group.append(kernel)
                known.update(files)
                break
        else:
            made.append(([kernel], files))
    return [group for group, _ in made]


def _shared(kernel: Kernel) -> list[Path]:
    headers = ("hwnorm_cells.h", "hwnorm_axis.h") if kernel.scalar else ()
    return [*kernel.verilog, *kernel.package.memories, *(kernel.folder / "hls" / name for name in headers)]


def blamed(kernels: Sequence[Kernel], output: str) -> str:
    """The folders of the kernels whose files a tool's output names; all folders if it names none."""
    named = [kernel for kernel in kernels if str(kernel.folder.resolve()) + "/" in output]
    return ", ".join(str(kernel.folder) for kernel in named or kernels)
