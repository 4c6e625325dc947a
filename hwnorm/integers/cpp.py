"""An integer network as a C++ program, compiled once for all networks: quick, and the same codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnorm.emit.render import render
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork
from hwnorm.integers.operations import (
    Codes,
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
from hwnorm.layernorm.design import GUARD
from hwnorm.layernorm.rsqrt import ADDRESS_BITS, VALUE_BITS, rsqrt_table
from hwnorm.tools import ToolError, run_tool, tool_environment
from hwnorm.verify.cache import prune, use
from hwnorm.verify.toolchain import cache_folder, find_gxx

_FLAGS = ("-std=c++17", "-O3", "-march=native", "-pthread", "-Wall", "-Wextra", "-Wno-psabi")
#: What the program calls the operations.
_KINDS: dict[type[IntegerOperation], str] = {
    IntegerPatches: "Patches",
    Table: "Stored",
    IntegerLinear: "Linear",
    IntegerFunction: "Function",
    IntegerNorm: "Norm",
    IntegerAffine: "Affine",
    IntegerScores: "Scores",
    Exponentials: "Exponentials",
    IntegerContext: "Context",
    IntegerPool: "Pool",
}
#: Bytes of images that a call of the program takes.
_TOGETHER = 1 << 28


def evaluate_cpp(network: IntegerNetwork, images: npt.NDArray[Any], jobs: int | None = None) -> Codes:
    """As :meth:`IntegerNetwork.evaluate`; see :meth:`CppNetwork.evaluate`."""
    return CppNetwork(network).evaluate(images, jobs)


class CppNetwork:
    """An integer network that the C++ program evaluates. The program is the same for all networks.

    Raises:
        InputError: there is no g++.
        ToolError: it failed.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self._program = _program()

    def evaluate(self, images: npt.NDArray[Any], jobs: int | None = None) -> Codes:
        """The codes of the logits, int32 (n, classes).

        Args:
            images: normalized ones, float (n, C, H, W), or codes of :data:`PIXELS`, integers.
            jobs: threads; as many as there are cores unless given.

        Raises:
            ToolError: the program failed.
        """
        together = max(1, _TOGETHER // max(1, images[0].size)) if len(images) else 1
        parts = [images[i : i + together] for i in range(0, len(images), together)]
        found = [self._run(part, jobs or os.cpu_count() or 1, trace=False) for part in parts]
        whole = b"".join(found)
        return np.frombuffer(whole, dtype=np.int32).reshape(len(images), -1)

    def trace(self, images: npt.NDArray[Any]) -> dict[str, Codes]:
        """As :meth:`IntegerNetwork.trace`: every tensor's codes, by name, but a table's for each image."""
        data = self._run(images, 1, trace=True)
        names = [op.out for op in self.network.operations]
        found: dict[str, list[Codes]] = {name: [] for name in names}
        at = 0
        for _ in images:
            for name in names:
                size = np.frombuffer(data, np.int64, 3, at)
                at += size.nbytes
                codes = np.frombuffer(data, np.int32, int(size.prod()), at).reshape(size)
                at += codes.nbytes
                found[name].append(codes)
        shapes = {op.out: not isinstance(op, IntegerScores | Exponentials) for op in self.network.operations}
        return {IMAGES: self._codes(images).astype(np.int32)} | {
            name: np.concatenate(codes) if shapes[name] else np.stack(codes) for name, codes in found.items()
        }

    def _codes(self, images: npt.NDArray[Any]) -> Codes:
        if not np.issubdtype(images.dtype, np.integer):
            images = self.network.pixels.codes(images)
        if images.size and not PIXELS.min_code <= images.min() <= images.max() <= PIXELS.max_code:
            raise InputError(f"images: codes from {images.min()} to {images.max()}; they are of {PIXELS}")
        return np.ascontiguousarray(images, dtype=np.int8)

    def _run(self, images: npt.NDArray[Any], jobs: int, *, trace: bool) -> bytes:
        codes = self._codes(images)
        command = [str(n) for n in (self._program, jobs, int(trace), *codes.shape)]
        done = subprocess.run(command, input=self._text + codes.tobytes(), capture_output=True, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise ToolError(
                f"the C++ of an integer network broke off with status {done.returncode}: {said}",
                said,
                " ".join(command),
            )
        return done.stdout

    @cached_property
    def _text(self) -> bytes:
        """The network as the program reads it."""
        ops, formats = self.network.operations, self.network.formats
        place = {IMAGES: 0} | {op.out: i + 1 for i, op in enumerate(ops)}
        kinds = list(_KINDS)
        parts = [_numbers(len(ops))]
        for op in ops:
            # A datapath saturates by itself.
            parts.append(_numbers(kinds.index(type(op)), op.format.min_code, op.format.max_code))
            parts.append(_numbers(len(op.reads), *(place[name] for name in op.reads)))
            parts += _written(op, formats)
        return b"".join(parts)


def _written(op: IntegerOperation, formats: dict[str, FixedFormat]) -> Sequence[bytes]:
    """What an operation has of its own."""
    match op:
        case IntegerPatches():
            return [_numbers(op.height, op.width)]
        case Table():
            return [_numbers(op.codes.shape[-1]), _array(op.codes, np.int32)]
        case IntegerLinear():
            return [
                _numbers(op.products(formats[op.x]).width <= 32, op.shift, op.lift, op.first),
                _array(op.bias, np.int64),
                _array(op.multiplier, np.int64),
                _array(op.weight, np.int8),
            ]
        case IntegerFunction() | Exponentials():
            return [_numbers(op.datapath.input.min_code), _array(op.table, np.int32)]
        case IntegerNorm():
            return _norm(op)
        case IntegerAffine():
            return [_numbers(op.shift), _array(op.multiplier, np.int64), _array(op.bias, np.int64)]
        case IntegerScores():
            bits = formats[op.q].width + formats[op.k].width - 1
            return [_numbers(op.heads, bits, op.shift)]
        case IntegerContext():
            bits = formats[op.p].width + formats[op.v].width - 1
            return [_numbers(op.heads, bits, op.digits, op.shift)]
        case IntegerPool():
            return [_numbers(op.first, op.end, op.multiplier, op.shift)]
    raise TypeError(f"{type(op).__name__} has no C++")


def _norm(op: IntegerNorm) -> Sequence[bytes]:
    design = op.design
    affine = design.gamma is not None and design.beta is not None
    lift = design.y_frac - design.beta.frac if design.beta is not None else 0
    widths = (design.sum_width, design.v_width, design.r_width)
    fracs = (design.a_frac, design.z_frac, design.y_frac, design.output.frac)
    eps = (design.eps_code >> 32, design.eps_code & 0xFFFFFFFF)
    return [
        _numbers(design.channels, *widths, *fracs, *eps, affine, lift),
        _array(op.gamma, np.int64),
        _array(op.beta, np.int64),
    ]


def _numbers(*values: int) -> bytes:
    return np.array(values, dtype=np.int64).tobytes()


def _array(values: Any, dtype: type[np.signedinteger]) -> bytes:
    found = np.asarray(values)
    return _numbers(found.size) + found.astype(dtype, casting="same_kind").tobytes()


@cache
def _source() -> str:
    context = {
        "kinds": list(_KINDS.values()),
        "rsqrt_table": rsqrt_table(),
        "address_bits": ADDRESS_BITS,
        "value_bits": VALUE_BITS,
        "guard": GUARD,
    }
    return render("integers/network.cpp.j2", context)


def _program() -> Path:
    """The compiled program: from the cache, where its name is a hash of source, flags, compiler and CPU."""
    gxx, version = find_gxx()
    # What -march=native stands for here: a cache may be shared by machines.
    asked = [str(gxx), "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    text = _source()
    key = digest(text, _FLAGS, version, macros)
    ready, failed = cache_folder() / "integer" / key, cache_folder() / "failed" / key
    if ready.exists():
        return use(ready)
    ready.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building.", dir=ready.parent))
    try:
        (building / "network.cpp").write_text(text, encoding="utf-8")
        command: list[str | Path] = [gxx, *_FLAGS, "network.cpp", "-o", "network"]
        try:
            log, environment = building / "g++.log", tool_environment()
            run_tool(command, log, "C++ of integers", cwd=building, environment=environment)
        except ToolError as error:
            shutil.rmtree(failed, ignore_errors=True)
            failed.parent.mkdir(parents=True, exist_ok=True)
            os.replace(building, failed)
            told = [part.replace(str(building), str(failed)) for part in (str(error), error.command)]
            raise ToolError(told[0], error.output, told[1]) from None
        os.replace(building / "network", ready)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    prune()
    return ready
