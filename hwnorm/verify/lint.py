"""``verilator --lint-only -Wall``, which must have nothing to say."""

from __future__ import annotations

import os
import re
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
    # By names without their folders: Verilator takes $ in a path for a variable's.
    place = os.path.commonpath([source.resolve().parent for source in sources])
    names = [os.path.relpath(source.resolve(), place) for source in sources]
    done = subprocess.run(
        [toolchain.verilator, "--lint-only", "--quiet", "-Wall", *sets, "--top-module", top, *names],
        cwd=place,
        env=toolchain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    # What stands there may be of others, such as the loader: findings are Verilator's own lines.
    found = re.search(r"^%(Error|Warning)", said, flags=re.MULTILINE)
    if found is not None:
        return said[found.start() :]
    return "" if done.returncode == 0 else said or f"verilator ended with status {done.returncode}"


def lint_kernel(kernel: Kernel, toolchain: Toolchain) -> str:
    """The same of a kernel's stage and, where there is one, of its combinational core."""
    said = [lint(kernel.rtl, kernel.top, toolchain, kernel.stream.parameters)]
    if kernel.scalar:
        said.append(lint([kernel.comb], f"{kernel.top}_comb", toolchain))
    return "\n".join(filter(None, said))
