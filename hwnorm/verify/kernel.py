"""A package as verification sees it: its files, its datapath, and the beats to send through it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json
from hwnorm.emit.package import RTL_PARTS
from hwnorm.emit.stimulus import codes_to_send, protocol_plan, tdata
from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact
from hwnorm.fixed import FixedFormat, byte_bits


@dataclass(frozen=True)
class Kernel:
    """A package's manifest and datapath, and the input codes that verification runs through it.

    ``codes`` is int64 of shape (beats, lanes): all codes in every lane, each lane starting elsewhere.
    """

    folder: Path
    manifest: dict[str, Any]
    datapath: Datapath
    codes: np.ndarray

    @property
    def top(self) -> str:
        return str(self.manifest["top"])

    @property
    def lanes(self) -> int:
        return int(self.manifest["lanes"])

    @property
    def latency(self) -> int:
        return int(self.manifest["latency"])

    @property
    def rtl(self) -> list[Path]:
        """The kernel's own Verilog (absolute)."""
        return [self.folder.resolve() / "rtl" / f"{self.top}{part}.v" for part in ("", "_core")]

    @property
    def comb(self) -> Path:
        """The combinational core, which nothing else instantiates."""
        return self.folder.resolve() / "rtl" / f"{self.top}_comb.v"

    @property
    def shared_rtl(self) -> list[Path]:
        """The hand-written Verilog that it instantiates."""
        return [self.folder / "rtl" / part for part in RTL_PARTS]

    @cached_property
    def results(self) -> np.ndarray:
        """What must come out for ``codes``: int64, same shape."""
        return self.datapath.evaluate(self.codes)

    def bench_context(self) -> dict[str, Any]:
        """What the bench's template says about it."""
        beats = len(self.codes)
        return {
            "top": self.top,
            "lanes": self.lanes,
            "s_width": self.lanes * byte_bits(self.datapath.input),
            "m_width": self.lanes * byte_bits(self.datapath.output),
            "x_width": self.datapath.input.width,
            "y_width": self.datapath.output.width,
            "beats": beats,
            "limit": 2 * beats + 1000,
        }

    def beats_in(self) -> list[int]:
        """TDATA of every beat to send."""
        return tdata(self.codes, self.datapath.input)

    def plan(self, seed: int) -> dict[str, Any]:
        """What the protocol test and the sweep must know about it in the bench."""
        plan = protocol_plan(
            self.datapath, self.top, self.lanes, self.latency, prefix=f"{self.top}_", seed=seed
        )
        return plan | {"limit": self.bench_context()["limit"]}


def words(values: Sequence[int], width: int) -> str:
    """TDATA words as ``$readmemh`` reads them."""
    digits = (width + 3) // 4
    return "".join(f"{value:0{digits}x}\n" for value in values)


def load_kernel(folder: Path, seed: int) -> Kernel:
    """Read a package.

    Raises:
        InputError: the folder holds no package, or a file of it is missing or damaged.
    """
    manifest = read_artefact(folder / "manifest.json", "package")
    if manifest.get("folded"):
        raise InputError(f"{folder}: folds into the next linear layers; there is no kernel to verify")
    try:
        datapath = from_json(json.loads((folder / "datapath.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'datapath.json'}: cannot be read as a datapath ({error})") from None
    for name in manifest["files"]:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: {name} is missing, which its manifest names; emit it again")
    return Kernel(folder, manifest, datapath, _codes(datapath.input, int(manifest["lanes"]), seed))


def _codes(fmt: FixedFormat, lanes: int, seed: int) -> np.ndarray:
    one = codes_to_send(fmt, seed)
    return np.stack([np.roll(one, -lane) for lane in range(lanes)], axis=1)


def groups(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """Kernels that can share one model and one program.

    The same hand-written parts, no module twice; the packages of one run make a single group.
    """
    made: dict[tuple[str, int], list[Kernel]] = {}
    for kernel in kernels:
        parts = digest(*kernel.shared_rtl, kernel.folder / "hls" / "hwnorm_cells.h")
        again = sum(k.top == kernel.top for (p, _), group in made.items() if p == parts for k in group)
        made.setdefault((parts, again), []).append(kernel)
    return list(made.values())


def blamed(kernels: Sequence[Kernel], output: str) -> str:
    """The folders of the kernels whose files a tool's output names; all folders if it names none."""
    named = [kernel for kernel in kernels if str(kernel.folder.resolve()) + "/" in output]
    return ", ".join(str(kernel.folder) for kernel in named or kernels)
