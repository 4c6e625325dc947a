"""One Verilated model for all tests of verification."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sample_datapaths import every_cell
from small_packages import change, fault, offset_kernel, sign

from hwnorm.datapath.ir import Datapath
from hwnorm.emit import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target
from hwnorm.verify import Verdict, verify_packages

#: Packages with one fault each.
FAULTY = (
    "verilog",
    "cpp",
    "stage",
    "partial",
    "grown",
    "extended",
    "flow",
    "latency",
    "certificate",
    "untidy",
)


def between(expression: str, source: str, to: str) -> Datapath:
    """Its datapath between two formats."""
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    return lower(parse(expression), *formats, load_target("xcup"), 250.0)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Good packages, and ones as faulty emitters would have written them."""
    root = tmp_path_factory.mktemp("packages")
    made = {name: root / name for name in ("cells", "lanes", "fine", "coarse", "pixels", "scores", *FAULTY)}
    emit_package(every_cell(), "cells", made["cells"])
    emit_package(offset_kernel(), "lanes", made["lanes"], lanes=3)
    emit_package(between("tanh(x)", "ap_fixed<8,-2>", "ap_fixed<16,1>"), "fine", made["fine"])
    emit_package(between("0.3*x", "s10f-2", "s9f-1"), "coarse", made["coarse"])
    emit_package(between("2*x - 1", "u8f8", "s9f7"), "pixels", made["pixels"], lanes=2)
    emit_package(between("1.3*x*x - 0.1*x - 0.5", "s7f4", "ap_ufixed<10,3>"), "scores", made["scores"])
    emit_package(between("0.9*x", "u10f8", "u10f8"), "extended", made["extended"])
    for name in sorted({*FAULTY} - {"extended"}):
        emit_package(offset_kernel(), name, made[name], lanes=2 if name in ("partial", "grown") else 1)
    fault(made["verilog"], "rtl/verilog_core.v", "8'sd4", "8'sd5")
    fault(made["cpp"], "hls/cpp.cpp", "(4);", "(5);")
    kept = "out.keep[byte] = in.keep[lane * 1];"
    fault(made["partial"], "hls/partial_axis.cpp", kept, "out.keep[byte] = 1;")
    fault(made["grown"], "rtl/grown.v", "({user, keep})", "({user, {LANES{1'b1}}})")
    fault(made["extended"], "rtl/extended.v", "{6{1'b0}}", "{6{y[9]}}")
    fault(made["stage"], "hls/stage_axis.cpp", "out.last = in.last;", "out.last = 0;")
    fault(made["flow"], "rtl/hwnorm_axis_pipe.v", "= m_ready | ~m_valid;", "= 1'b1 | m_ready;")
    for name in ("manifest.json", "datapath.json"):
        change(made["latency"] / name, '"latency": 2', '"latency": 3')
        change(made["certificate"] / name, '"expression": "x + 0.25"', '"expression": "x + 0.3"')
    for name in ("latency", "certificate"):
        sign(made[name])
    fault(made["untidy"], "rtl/untidy_core.v", "endmodule", "wire nobody_reads = ce;\nendmodule")
    return made


@pytest.fixture(scope="session")
def verdicts(folders: dict[str, Path]) -> dict[str, Verdict]:
    """The verdict on each, from one call."""
    found = verify_packages(list(folders.values()), seed=3)
    return dict(zip(folders, found, strict=True))


@pytest.fixture
def copy_of(tmp_path: Path, folders: dict[str, Path]):
    """A package that a test may spoil."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / name))

    return copy
