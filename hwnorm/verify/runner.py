"""cocotb's runner for Verilator: our toolchain, a lean model, and a run-time library built once."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cocotb_tools import config
from cocotb_tools.runner import Verilator
from find_libpython import find_libpython

from hwnorm.files import digest
from hwnorm.resources import resource
from hwnorm.verify.toolchain import Toolchain, cache_folder

# The model runs for a second or two: time spent on optimizing Verilator's run-time library is lost.
_FLAGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "fast")
_MAKE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "VM_PARALLEL_BUILDS=0")

#: What a model depends on besides its sources and the tools.
BUILD_OPTIONS = (*_FLAGS, *_MAKE)


class Runner(Verilator):  # type: ignore[misc]
    """Builds and runs models with the toolchain's Verilator and the project's cocotb tests."""

    def __init__(self, toolchain: Toolchain, jobs: int) -> None:
        super().__init__()
        self.toolchain, self.jobs = toolchain, jobs
        self.kept: Sequence[str] = ()
        self.log.setLevel(logging.CRITICAL)

    def build_model(
        self,
        sources: Sequence[Path],
        top: str,
        folder: Path,
        log: Path,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        """Build ``folder/top``.

        The objects of Verilator's own run-time library, half of a build and the same for every model,
        are kept in the cache.

        Raises:
            RuntimeError, SystemExit: Verilator or the C++ compiler failed; ``log`` says how.
        """
        library = cache_folder() / "library" / digest(BUILD_OPTIONS, self.toolchain.versions)
        if library.is_dir():
            shutil.copytree(library, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
            self.kept = [made.name for made in library.iterdir()]
        with _alone():
            self.build(
                sources=list(sources),
                hdl_toplevel=top,
                parameters=dict(parameters or {}),
                build_dir=folder,
                build_args=list(_FLAGS),
                timescale=("1ns", "1ps"),
                log_file=log,
            )
        if not library.is_dir():
            keep_library(folder, library)

    def run_tests(
        self, modules: Sequence[str], top: str, model: Path, folder: Path, seed: int, only: str = ""
    ) -> Path:
        """Run cocotb tests on ``model/top``; returns the log, ``folder/simulation.log``.

        A test that fails does not raise: what the tests wrote into ``folder`` says which and why.
        ``only`` is a regular expression that picks tests; empty takes all.
        """
        log = folder / "simulation.log"
        with suppress(RuntimeError, SystemExit), _alone():
            self.test(
                test_module=list(modules),
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=model,
                test_dir=folder,
                test_filter=only or None,
                results_xml=str(folder / "results.xml"),
                log_file=log,
                seed=seed,
                extra_env={"COCOTB_LOG_LEVEL": "WARNING", "NO_COLOR": "1"},
            )
        return log

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self.toolchain.verilator)

    def _set_env_common(self) -> None:
        # cocotb's own would take all of the user's shell: filters of tests, seeds, waves.
        environment = self.toolchain.environment
        self.env |= environment | {
            "PATH": os.pathsep.join([environment["PATH"], str(config.libs_dir)]),
            "PYTHONPATH": os.pathsep.join([str(resource("sim")), *filter(None, sys.path)]),
            "PYGPI_PYTHON_BIN": sys.executable,
            "GPI_USERS": f"{find_libpython()};{config.pygpi_entry_point()}",
        }

    def _build_command(self) -> list[list[str]]:
        verilate, make = (list(command) for command in super()._build_command())
        # Public signals everywhere would keep Verilator from optimizing; the .vlt file names the few.
        verilate.remove("--public-flat-rw")
        make[make.index("-j") + 1] = str(self.jobs)
        # The makefile takes kept objects for older than itself: Verilator has just written it.
        touched = [["touch", *self.kept]] if self.kept else []
        return [verilate, *touched, [*make, *_MAKE]]


@contextmanager
def _alone() -> Iterator[None]:
    """Without the variables of the user's shell that cocotb's runner asks this process for."""
    kept = {name: os.environ.pop(name) for name in ("WAVES", "GUI") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def keep_library(made: Path, library: Path) -> None:
    """Keep the objects of Verilator's run-time library: half of a build, and the same for every model."""
    library.parent.mkdir(parents=True, exist_ok=True)
    kept = Path(tempfile.mkdtemp(prefix=".building.", dir=library.parent))
    for part in made.glob("verilated*.o"):
        shutil.copyfile(part, kept / part.name)
    install(kept, library)
    shutil.rmtree(kept, ignore_errors=True)


def install(made: Path, place: Path) -> None:
    """Rename a finished folder into place, unless another process was quicker."""
    try:
        os.rename(made, place)
    except OSError:
        if not place.is_dir():
            raise
