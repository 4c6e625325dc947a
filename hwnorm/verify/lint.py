"""``verilator --lint-only -Wall``, which must have nothing to say."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnorm.verify.kernel import Kernel
from hwnorm.verify.toolchain import Toolchain


def lint(
    sources: Sequence[Path], top: str, toolchain: Toolchain, parameters: Mapping[str, int] | None = None
) -> str:
    """What Verilator warns of in ``sources``; empty if nothing."""
    sets = [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    done = subprocess.run(
        [toolchain.verilator, "--lint-only", "--quiet", "-Wall", *sets, "--top-module", top, *sources],
        env=toolchain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    return said if said or done.returncode == 0 else f"verilator ended with status {done.returncode}"


def lint_kernel(kernel: Kernel, toolchain: Toolchain) -> str:
    """The same of a kernel's stage and, where there is one, of its combinational core."""
    said = [lint(kernel.rtl, kernel.top, toolchain, kernel.stream.parameters)]
    if kernel.scalar:
        said.append(lint([kernel.comb], f"{kernel.top}_comb", toolchain))
    return "\n".join(filter(None, said))
