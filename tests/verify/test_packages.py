from __future__ import annotations

import json
import tempfile

import pytest
from hypothesis import Phase, given, settings
from sample_datapaths import datapaths, every_cell
from small_packages import change, sign

from hwnorm.datapath.ir import Cell
from hwnorm.emit import emit_package
from hwnorm.errors import InputError
from hwnorm.files import read_artefact
from hwnorm.tools import ToolError
from hwnorm.verify import packages, verify_packages
from hwnorm.verify.csim import run_csim
from hwnorm.verify.kernel import load_kernel
from hwnorm.verify.toolchain import find_toolchain


@pytest.mark.parametrize("name", ["cells", "lanes", "fine", "coarse", "pixels", "scores"])
def test_a_good_package_passes_every_check(name, verdicts):
    """Verilog, HLS, protocol, lint and PyTorch: nothing is wrong with a kernel as it was emitted."""
    assert verdicts[name].problems() == []
    assert verdicts[name].passed


def test_the_sample_has_every_kind_of_cell():
    """What passes above covers the whole set of cells."""
    assert {node.cell for node in every_cell().nodes} == set(Cell)


def test_a_changed_constant_in_verilog_fails(verdicts):
    """0.25 made 0.3125 in the emitted Verilog: every code differs in Verilator, none in HLS."""
    verdict = verdicts["verilog"]
    assert not verdict.passed
    assert not verdict.verilator_bit_exact
    assert verdict.verilator_mismatches == 256
    assert verdict.first_mismatch == (-128, -124, -123)
    assert verdict.hls_bit_exact


def test_a_changed_constant_in_hls_fails(verdicts):
    """The same in the emitted C++: HLS differs, Verilator does not."""
    verdict = verdicts["cpp"]
    assert not verdict.passed
    assert verdict.verilator_bit_exact
    assert verdict.hls_mismatches == 256
    assert verdict.first_mismatch == (-128, -124, -123)


def test_a_stage_in_cpp_that_drops_tlast_fails(verdicts):
    """The function alone is right: what runs the stage is the package's own testbench."""
    verdict = verdicts["stage"]
    assert verdict.hls_mismatches == 0
    assert verdict.hls_message == "stage_axis, beat 0: TUSER or TLAST is lost"
    assert not verdict.hls_bit_exact
    assert not verdict.passed
    assert "HLS testbench: stage_axis, beat 0" in "; ".join(verdict.problems())


def test_a_stage_in_cpp_that_lets_a_token_grow_fails(verdicts):
    """Of a partial last beat the elements that count are kept, and no others."""
    assert verdicts["partial"].hls_mismatches == 0
    assert verdicts["partial"].hls_message == "partial_axis, beat 0: TKEEP or TSTRB is wrong"
    assert not verdicts["partial"].passed


def test_a_stage_in_verilog_that_lets_a_token_grow_fails(verdicts):
    """The same of TKEEP in the stage under stalls, of two lanes and of any number of elements."""
    assert verdicts["grown"].verilator_bit_exact
    assert "differs in length or TKEEP" in verdicts["grown"].protocol_message
    assert not verdicts["grown"].passed


def test_an_unsigned_result_that_is_sign_extended_fails(verdicts):
    """TDATA beyond the bits of u10f8 are zero; the code itself is right."""
    verdict = verdicts["extended"]
    assert verdict.comb_differing == 0
    assert 0 < verdict.verilator_mismatches < 1024
    assert verdict.hls_bit_exact
    assert not verdict.passed


def test_flow_control_that_ignores_back_pressure_fails(verdicts):
    """A pipeline that advances always is bit-exact while nobody stalls; the protocol test finds it."""
    verdict = verdicts["flow"]
    assert verdict.verilator_bit_exact
    assert not verdict.protocol_ok
    assert "random stalls" in verdict.protocol_message
    assert not verdict.passed


def test_a_wrong_latency_in_the_manifest_fails(verdicts):
    """The manifest's latency is measured, not believed."""
    assert verdicts["latency"].latency_measured == 2
    assert not verdicts["latency"].passed


def test_a_wrong_expression_fails_against_pytorch(verdicts):
    """x + 0.3 is 0.8 ulp from the kernel of x + 0.25, which is certified as exact."""
    verdict = verdicts["certificate"]
    assert verdict.torch_max_error_ulp == pytest.approx(0.8)
    assert not verdict.torch_within_certificate
    assert not verdict.passed


def test_verilator_warnings_fail(verdicts):
    """A wire that nobody reads computes nothing wrong, and is still reported."""
    verdict = verdicts["untidy"]
    assert "UNUSEDSIGNAL" in verdict.lint_message
    assert verdict.verilator_bit_exact
    assert not verdict.passed


def test_the_verdict_is_an_artefact_of_the_package(folders, verdicts):
    """verdict.json says what the call returned."""
    written = read_artefact(folders["cells"] / "verdict.json", "verdict")
    expected = json.loads(json.dumps(verdicts["cells"].to_json()))
    assert {key: written[key] for key in expected} == expected


@pytest.mark.parametrize("examples", [12, pytest.param(30, marks=pytest.mark.slow)])
def test_verilog_and_hls_equal_the_bit_true_datapath(tmp_path, examples):
    """The law: whatever the cells, Verilog = HLS = Datapath.evaluate for every input code.

    Hypothesis draws the datapaths; all of them go into one model, for building it is what costs.
    """
    folders = []

    @settings(max_examples=examples, phases=[Phase.generate], database=None)
    @given(datapaths())
    def emit(datapath):
        folders.append(tmp_path / f"k{len(folders)}")
        emit_package(datapath, folders[-1].name, folders[-1])

    emit()
    assert [verdict.problems() for verdict in verify_packages(folders)] == [[]] * len(folders)


def test_a_folder_without_a_package_is_named(tmp_path):
    """One line that says which file was expected."""
    with pytest.raises(InputError, match=r"manifest\.json: not there"):
        verify_packages([tmp_path])


def test_a_missing_file_is_named(copy_of):
    """A package that lost a file is refused before anything is built."""
    folder = copy_of("lanes")
    (folder / "rtl" / "lanes_core.v").unlink()
    with pytest.raises(InputError, match=r"rtl/lanes_core\.v: is missing"):
        verify_packages([folder])


def test_an_edited_file_is_refused_before_anything_is_said_of_it(copy_of):
    """Even a comment: what was edited is not what was emitted. The line says what to do with it."""
    folder = copy_of("lanes")
    change(folder / "rtl" / "lanes_core.v", "endmodule", "// mine\nendmodule")
    (folder / "verdict.json").write_text("of the files that were there before")
    message = (
        rf"{folder}/rtl/lanes_core\.v: is not the file that was emitted .*"
        rf"`make -C {folder}/sim` simulates it as it is, `hwnorm compile .* writes the package anew"
    )
    with pytest.raises(InputError, match=message) as caught:
        verify_packages([folder])
    assert "\n" not in str(caught.value)
    assert not (folder / "verdict.json").exists()


def test_verilog_that_is_none_is_a_tool_error(copy_of):
    """Verilator's own message and a command to repeat come with one line that names the package."""
    folder = copy_of("lanes")
    (folder / "rtl" / "lanes_core.v").write_text("module lanes_core (;\n")
    sign(folder)
    with pytest.raises(ToolError, match="lanes: Verilator could not build the model") as caught:
        verify_packages([folder])
    assert "syntax error" in caught.value.output
    assert caught.value.command.startswith("verilator --lint-only")
    assert "\n" not in str(caught.value)


def test_cpp_that_is_none_is_a_tool_error(copy_of, tmp_path):
    """g++'s own message comes along, and the line names the package at fault."""
    folder = copy_of("lanes")
    (folder / "hls" / "lanes.cpp").write_text("this is not C++\n")
    sign(folder)
    message = r"lanes: HLS C\+\+: g\+\+ failed with status 1: .*; see .*csim\.log"
    with pytest.raises(ToolError, match=message) as caught:
        run_csim([load_kernel(folder, seed=0)], find_toolchain(), tmp_path)
    assert "error" in caught.value.output


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ToolError("t", "o", "c")])
def test_a_stop_leaves_no_folder_but_a_tools_logs(folders, monkeypatch, tmp_path, stop):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def stopped(*arguments, **options):
        raise stop

    monkeypatch.setattr(packages, "simulate", stopped)
    monkeypatch.setattr(packages, "run_cpp", stopped)
    with pytest.raises((KeyboardInterrupt, ToolError)):
        verify_packages([folders["lanes"]])
    assert len(list(tmp_path.iterdir())) == isinstance(stop, ToolError)
