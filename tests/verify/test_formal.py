from __future__ import annotations

import shutil

import pytest
from hypothesis import Phase, given, settings
from sample_datapaths import Sketch, datapaths, every_cell
from small_packages import fault, offset_kernel

from hwnorm.datapath.ir import Cell
from hwnorm.emit import emit_package
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.tools import YOSYS, ToolError, find_tool
from hwnorm.verify import verify_packages
from hwnorm.verify.formal import prove
from hwnorm.verify.kernel import load_kernel


def proof_of(datapath, yosys, folder, old="", new=""):
    """Emit, change the combinational core, prove."""
    package = folder / "kernel"
    emit_package(datapath, "kernel", package)
    if old:
        fault(package, "rtl/kernel_comb.v", old, new)
    return prove(load_kernel(package, seed=0), yosys, folder)


def test_every_cell_is_proven(yosys, tmp_path):
    """All kinds of cells against the table of their results."""
    assert proof_of(every_cell(), yosys, tmp_path).outcome == "proven"


def test_random_datapaths_are_proven(yosys, tmp_path):
    """The law of the combinational core: it is Datapath.evaluate."""

    @settings(max_examples=8, phases=[Phase.generate], database=None)
    @given(datapaths())
    def check(datapath):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        assert proof_of(datapath, yosys, tmp_path).outcome == "proven"

    check()


def test_a_fault_is_found_and_its_input_code_named(yosys, tmp_path):
    """One that shows for input code -77 alone."""
    fault = "assign y = (x == -8'sd77) ? total ^ 9'sd1 : total;"
    proof = proof_of(offset_kernel(), yosys, tmp_path, "assign y = total;", fault)
    assert proof.outcome == "refuted: input code -77: expected -73, got -74"
    assert proof.counterexample == (-77, -73, -74)


def test_a_wide_input_is_not_tried(yosys, tmp_path):
    """It says so, and how wide would be tried."""
    sketch = Sketch(FixedFormat(16, 8))
    sketch.put(Cell.NEG, 0)
    proof = proof_of(sketch.finish(FixedFormat(8, 4)), yosys, tmp_path)
    assert proof.outcome == "not proven: 16 input bits; at most 12 are tried"
    assert proof.counterexample is None


def test_a_core_that_yosys_cannot_read_is_a_tool_error(yosys, tmp_path):
    """One line that names the package; Yosys' own words and the command come along."""
    with pytest.raises(ToolError, match="could not compare") as caught:
        proof_of(offset_kernel(), yosys, tmp_path, "endmodule", "endmodul")
    assert "syntax error" in caught.value.output
    assert caught.value.command.startswith(f"cd {tmp_path}")


def test_the_verdict_holds_the_proof(yosys, copy_of):
    """Proven passes; a combinational core that differs from the pipelined one fails, in Verilator too."""
    good, bad = copy_of("lanes"), copy_of("cells")
    fault(bad, "rtl/cells_comb.v", "assign y = ", "assign y = {23'd0, x == 9'sd5} ^ ")
    proven, refuted = verify_packages([good, bad], seed=3, formal=True)
    assert (proven.formal, proven.passed) == ("proven", True)
    assert refuted.verilator_bit_exact
    assert refuted.comb_differing == 1
    assert not refuted.passed
    assert refuted.formal.startswith("refuted: input code 5: expected")
    assert refuted.problems() == [
        "combinational core: 1 results differ from the stage's",
        f"combinational core {refuted.formal}",
    ]


def test_without_formal_nothing_is_tried(verdicts):
    """A verdict says that there was no proof, and passes."""
    assert verdicts["cells"].formal == "not tried"
    assert verdicts["cells"].passed


def test_a_missing_yosys_is_one_line_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r"pip install 'hwnorm\[characterize\]'") as caught:
        find_tool(YOSYS)
    assert "\n" not in str(caught.value)
