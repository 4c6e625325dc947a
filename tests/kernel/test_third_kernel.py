"""A third kernel, of which emit, verify, synth and compare know nothing, goes through all of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from running_maximum import RunningMaximum
from small_packages import fault, offset_kernel, sign

from hwnorm.compare.designs import figures
from hwnorm.compare.measure import NOTHING, measure_kernels
from hwnorm.compare.traffic import stream_traffic
from hwnorm.emit import DatapathStage, emit_kernel
from hwnorm.errors import InputError
from hwnorm.kernel.package import load_package
from hwnorm.synth.package import read_synthesis, synth_package
from hwnorm.targets.target import load_target
from hwnorm.testing.kernels import check_evaluate, check_package, check_tokens
from hwnorm.verify import Verdict, verify_packages
from hwnorm.verify.toolchain import find_toolchain


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kernel") / "running_maximum"
    emit_kernel(RunningMaximum(7), folder)
    return folder


@pytest.fixture(scope="module")
def verdicts(package, tmp_path_factory) -> dict[str, Verdict]:
    """In one call: as it was emitted; with two faults; and the stage of a datapath."""
    root = tmp_path_factory.mktemp("broken")
    folders = {name: Path(shutil.copytree(package, root / name)) for name in ("token", "order")}
    fault(folders["token"], "rtl/running_maximum.v", "beat == 32'd0 | x", "x")
    fault(folders["order"], "rtl/hwnorm_axis_pipe.v", "= m_ready | ~m_valid;", "= 1'b1 | m_ready;")
    folders["stage"] = root / "stage"
    emit_kernel(DatapathStage(offset_kernel(), "stage", 2), folders["stage"])
    found = verify_packages([package, *folders.values()], seed=5)
    return dict(zip(("good", *folders), found, strict=True))


@pytest.mark.parametrize("check", [check_tokens, check_evaluate, check_package])
def test_it_conforms(check):
    check(RunningMaximum(7))


def test_verilator_lint_and_the_stream_test_pass_it(verdicts, package):
    """What is read back is what was returned; of renderings that it has not nothing is said."""
    verdict = verdicts["good"]
    assert verdict.problems() == []
    assert verdict.passed
    assert verdict.codes == 64 * 7
    assert not verdict.exhaustive
    assert (verdict.hls_bit_exact, verdict.comb_differing, verdict.torch_within_certificate) == (None,) * 3
    assert Verdict.read(package / "verdict.json") == verdict


def test_a_stage_beside_it_passes_with_all_of_its_renderings(verdicts):
    assert verdicts["stage"].problems() == []
    assert verdicts["stage"].hls_bit_exact


def test_its_faults_are_found(verdicts):
    """A token that does not begin anew, and flow control that ignores back-pressure."""
    assert not verdicts["token"].verilator_bit_exact
    assert not verdicts["token"].passed
    assert verdicts["order"].verilator_bit_exact
    assert "random stalls" in verdicts["order"].protocol_message
    assert not verdicts["order"].passed


def test_its_package_simulates_without_hwnorm(package, tmp_path):
    """``make -C sim``."""
    folder = Path(shutil.copytree(package, tmp_path / "copy"))
    environment = find_toolchain().environment
    path = os.pathsep.join([environment["PATH"], str(Path(sys.executable).parent)])
    done = subprocess.run(
        ["make", "-C", folder / "sim"],
        env=environment | {"PATH": path, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=3 PASS=3" in done.stdout


def test_it_is_synthesized(package, yosys):
    """Counts of the real tools; nothing is predicted of it."""
    found = synth_package(package, load_target("ecp5"))
    assert found.measured.ff > 20
    assert (found.predicted, found.predicted_fmax_mhz) == (None, None)
    assert read_synthesis(package) == {"ecp5": found}


def test_it_is_compared(yosys):
    """Beside a stage and a layer that folds, by the same synthesis; equal kernels are measured once."""
    target = load_target("ecp5")
    kernels = [RunningMaximum(8), None, DatapathStage(offset_kernel(), "stage"), RunningMaximum(8)]
    largest, folded, stage, again = measure_kernels(kernels, target)
    assert folded is NOTHING
    assert again is largest
    assert stage.counts.lut > 0
    row = figures("n", "maximum", "max", None, largest.counts, None, kernels[0], 8, 1, target)
    assert (row.lut, row.latency, row.cycles_per_token) == (largest.counts.lut, 1, 8)
    assert row.bytes_per_token == 8 * (2 + 2)
    assert stream_traffic(kernels[0], 8).held == 10 / 8


def test_a_description_that_contradicts_the_manifest_is_refused(package, tmp_path):
    folder = Path(shutil.copytree(package, tmp_path / "copy"))
    (folder / "running_maximum.json").write_text(json.dumps({"beats": 5}))
    sign(folder)
    with pytest.raises(InputError, match=r"manifest\.json: beats: 7; running_maximum\.json says 5"):
        load_package(folder)


def test_an_unknown_kind_is_refused_with_those_there_are(package, tmp_path):
    folder = Path(shutil.copytree(package, tmp_path / "copy"))
    path = folder / "manifest.json"
    told = path.read_text().replace('"kernel": "running_maximum"', '"kernel": "softmin"')
    path.write_text(told.replace('"running_maximum.json"', '"softmin.json"'))
    (folder / "running_maximum.json").rename(folder / "softmin.json")
    with pytest.raises(InputError, match=r"kernel 'softmin': unknown kind; there are datapath, layernorm"):
        load_package(folder)


def test_evaluate_is_a_maximum():
    tokens = np.array([[1, -3, 4, 2, 5, 5, -9]])
    assert RunningMaximum(7).evaluate(tokens).tolist() == [[1, 1, 4, 4, 5, 5, 5]]
