"""``verilator --lint-only -Wall``, which must have nothing to say."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hwnorm.verify.kernel import Kernel
from hwnorm.verify.toolchain import Toolchain


def lint(sources: Sequence[Path], top: str, toolchain: Toolchain) -> str:
    """What Verilator warns of in ``sources``; empty if nothing."""
    done = subprocess.run(
        [toolchain.verilator, "--lint-only", "--quiet", "-Wall", "--top-module", top, *sources],
        env=toolchain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    return said if said or done.returncode == 0 else f"verilator ended with status {done.returncode}"


def lint_kernel(kernel: Kernel, toolchain: Toolchain) -> str:
    """The same of a kernel's stage and of its combinational core."""
    stage = lint([*kernel.rtl, *kernel.shared_rtl], kernel.top, toolchain)
    return "\n".join(filter(None, [stage, lint([kernel.comb], f"{kernel.top}_comb", toolchain)]))
