"""The conformance suite of stream kernels: what each must do, whatever it computes.

A check takes a kernel and raises AssertionError with one line: kernel, facet, and what is wrong.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from hwnorm.emit import emit_kernel
from hwnorm.kernel.package import load_package
from hwnorm.kernel.stream import StreamKernel
from hwnorm.synth.kernel import synthesize_kernel
from hwnorm.targets.target import load_target
from hwnorm.verify import verify_packages

#: So many random tokens are drawn.
_TOKENS = 20
_TARGET = "ecp5"


def _fail(kernel: StreamKernel, facet: str, what: str) -> NoReturn:
    raise AssertionError(f"{kernel.kind} {kernel.top}: {facet}: {what}")


def _sample(kernel: StreamKernel) -> np.ndarray:
    return kernel.sample(_TOKENS, np.random.default_rng(0))


def check_tokens(kernel: StreamKernel) -> None:
    """What it is tried with are whole tokens of codes that its input holds, the same for the same seed.

    Raises:
        AssertionError: they are not.
    """
    for name, tokens in (("sample", _sample(kernel)), ("to_send", kernel.to_send(0))):
        if tokens.ndim != 2 or tokens.shape[1] != kernel.beats * kernel.lanes or len(tokens) == 0:
            what = f"{name} is of shape {tokens.shape}; (tokens, {kernel.beats * kernel.lanes}) was expected"
            _fail(kernel, "tokens", what)
        if tokens.min() < kernel.input.min_code or tokens.max() > kernel.input.max_code:
            _fail(kernel, "tokens", f"{name} has a code that {kernel.input} does not hold")
    if len(_sample(kernel)) != _TOKENS:
        _fail(kernel, "tokens", f"sample gives {len(_sample(kernel))} tokens of {_TOKENS}")
    if not np.array_equal(_sample(kernel), _sample(kernel)):
        _fail(kernel, "tokens", "sample differs where the generator does not")


def check_evaluate(kernel: StreamKernel) -> None:
    """Each token gives codes that the output holds, and the same ones whatever is before and behind it.

    Raises:
        AssertionError: it does not.
    """
    tokens = _sample(kernel)
    together = kernel.evaluate(tokens)
    if together.shape != tokens.shape or together.dtype != np.int64:
        what = f"{together.dtype} of shape {together.shape}; int64 of shape {tokens.shape} was expected"
        _fail(kernel, "evaluate", what)
    if together.min() < kernel.output.min_code or together.max() > kernel.output.max_code:
        _fail(kernel, "evaluate", f"gives a code that {kernel.output} does not hold")
    alone = np.concatenate([kernel.evaluate(token[None]) for token in tokens[::-1]])[::-1]
    if not np.array_equal(together, alone):
        _fail(kernel, "evaluate", "a token's result depends on the tokens beside it")


def check_package(kernel: StreamKernel) -> None:
    """Emitted and read again it is the same kernel, and emitted twice the same bytes.

    Raises:
        AssertionError: it is another one.
        InputError: the package cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="hwnorm-testing.") as name:
        first = emit_kernel(kernel, Path(name) / "first")
        second = emit_kernel(kernel, Path(name) / "second")
        again = load_package(Path(name) / "first").kernel
    if first != second:
        _fail(kernel, "package", "emitted twice, its files differ")
    told, read = (json.dumps(k.description(), sort_keys=True) for k in (kernel, again))
    tokens = _sample(kernel)
    if told != read or not np.array_equal(kernel.evaluate(tokens), again.evaluate(tokens)):
        _fail(kernel, "package", "read from its package, it is another kernel")


def check_verilog(kernel: StreamKernel) -> None:
    """The Verilog keeps the stream's contract, is bit-exact, on time, and Verilator says nothing of it.

    Raises:
        AssertionError: a check of :func:`hwnorm.verify.verify_packages` fails.
        InputError: a simulator is missing.
        ToolError: a simulator failed.
    """
    with tempfile.TemporaryDirectory(prefix="hwnorm-testing.") as name:
        emit_kernel(kernel, Path(name) / "package")
        (verdict,) = verify_packages([Path(name) / "package"])
    if not verdict.passed:
        _fail(kernel, "verilog", "; ".join(verdict.problems()))


def check_synthesis(kernel: StreamKernel) -> None:
    """Yosys makes cells of it.

    Raises:
        AssertionError: there are none: all of it was optimized away.
        InputError: there is no Yosys.
        ToolError: Yosys failed.
    """
    with tempfile.TemporaryDirectory(prefix="hwnorm-testing.") as name:
        counts = synthesize_kernel(kernel, load_target(_TARGET), Path(name) / "synth").counts
    if counts.ff == 0:
        _fail(kernel, "synthesis", f"{counts}; a stream stage has flip-flops")


#: Facet -> its check, the quick ones first.
KERNEL_CHECKS: dict[str, Callable[[StreamKernel], None]] = {
    "tokens": check_tokens,
    "evaluate": check_evaluate,
    "package": check_package,
    "verilog": check_verilog,
    "synthesis": check_synthesis,
}


def check_kernel(kernel: StreamKernel) -> None:
    """Every check of one kernel; the extras ``verify`` and ``characterize`` must be installed.

    Raises:
        AssertionError: the first check that fails: kernel, facet and what is wrong.
        InputError: a tool is missing.
        ToolError: a tool failed.
    """
    for check in KERNEL_CHECKS.values():
        check(kernel)
