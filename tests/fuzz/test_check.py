"""That the fuzzer can fail: a bug is put in, and is found, shrunk, kept and replayed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_packages import sign

from hwnorm.datapath import ir
from hwnorm.datapath.ir import Cell
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fuzz import check, run
from hwnorm.fuzz.case import Case, Failure, Refused
from hwnorm.fuzz.check import TOOLS, check_cases
from hwnorm.verify.toolchain import find_toolchain

PLAIN = Case("max(0.5*x + 1.5, abs(x) - 1)", "s6f3", "s8f3", "xcup", 250.0, 1.0, False, False, 1)


def draw_from(monkeypatch, *cases: Case) -> None:
    monkeypatch.setattr(run, "draw_case", lambda seed, index: cases[index])


def spoil_emission(monkeypatch, name: str, old: str, new: str) -> None:
    """Emitted files whose names contain ``name`` get another text where ``old`` stands."""
    emit = check.emit_package

    def spoiled(datapath, top: str, folder: Path, **options):
        emit(datapath, top, folder, **options)
        for file in folder.rglob(f"*{name}*"):
            file.write_text(file.read_text().replace(old, new))
        sign(folder)

    monkeypatch.setattr(check, "emit_package", spoiled)


def test_good_cases_pass_every_tool():
    """As it is, with the stream and without."""
    cases = [PLAIN, replace(PLAIN, stream=True, lanes=3)]
    assert check_cases(cases, find_toolchain(), TOOLS) == [None, None]


def test_what_hwnorm_refuses_is_no_failure():
    """The reason is the message without what differs from case to case."""
    outcomes = [
        check_cases([replace(PLAIN, clock_mhz=clock)], find_toolchain(), {})[0] for clock in (9999.0, 8888.0)
    ]
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0] == outcomes[1]


def test_a_wrong_cell_is_found_shrunk_kept_and_replayed(tmp_path, monkeypatch):
    """MAX that gives the smaller one: the exact oracle knows better, and max alone is what is left."""
    right = ir.run_cell

    def wrong(node, args, formats):
        if node.cell is Cell.MAX:
            return right(replace(node, cell=Cell.MIN), args, formats)
        return right(node, args, formats)

    draw_from(monkeypatch, PLAIN, replace(PLAIN, expression="x + 0.5"))
    with monkeypatch.context() as bug:
        bug.setattr(ir, "run_cell", wrong)
        summary = run.fuzz(2, 0, 1, tmp_path)
        ((path, failure),) = summary.failed.items()
        kept = Case.from_json(json.loads(path.read_text())["case"])
        assert run.replay_file(path)[1]
    assert summary.passed == 1
    assert failure.kind == "oracle: another result"
    assert sum(bool(part.args) for part in parse(kept.expression).walk()) <= 2
    assert "max" in kept.expression
    lines, failed = run.replay_file(path)
    assert not failed
    assert lines[0].endswith("passed")


@pytest.mark.parametrize(
    ("tool", "name", "old", "new"),
    [
        ("Verilator", "_core.v", " + ", " - "),
        pytest.param("HLS", "[0-9].cpp", " + ", " - ", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_rendering_is_found_and_shrunk(tool, name, old, new, tmp_path, monkeypatch):
    """Sums emitted as differences, in Verilog and in C++: only that tool's results differ."""
    spoil_emission(monkeypatch, name, old, new)
    draw_from(monkeypatch, PLAIN)
    summary = run.fuzz(1, 0, 1, tmp_path)
    ((path, failure),) = summary.failed.items()
    kept = Case.from_json(json.loads(path.read_text())["case"])
    assert failure.kind == f"{tool} differs"
    # Rounding is a sum in Verilog: x alone will do.
    assert len(kept.expression) < len("x + 0.25")


def test_a_file_that_a_tool_cannot_read_is_one_case_of_many(monkeypatch):
    """Only the case whose Verilog is none fails; the others are checked without it."""
    spoil_emission(monkeypatch, "k2_core.v", "endmodule", "endmodul")
    outcomes = check_cases([PLAIN] * 4, find_toolchain(), TOOLS)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, False, True, False]
    assert outcomes[2].kind == "Verilator breaks off"


def test_a_false_certificate_is_found(monkeypatch):
    """A claim of no error where there is one."""
    case = replace(PLAIN, expression="tanh(x)")
    honest = Case.lower

    def boasting(self):
        datapath = honest(self)
        return replace(datapath, certificate=replace(datapath.certificate, max_error_ulp=0.1))

    monkeypatch.setattr(Case, "lower", boasting)
    outcome = check_cases([case], find_toolchain(), {})[0]
    assert outcome.kind == "certificate: exceeded"


def test_a_crash_is_a_failure(monkeypatch):
    """Any exception but an InputError, told by its type and place."""

    def crash(self):
        return np.zeros(3)[7]

    monkeypatch.setattr(Case, "lower", crash)
    outcome = check_cases([PLAIN], find_toolchain(), {})[0]
    assert outcome.kind == "lowering crashes: IndexError in test_check.py, crash"


def test_ctrl_c_gives_the_summary_so_far(tmp_path, monkeypatch):
    """Interrupted in the second batch, the first one is told."""
    monkeypatch.setattr(run, "BATCH", 1)

    def drawn(seed, index):
        if index == 1:
            raise KeyboardInterrupt
        return PLAIN

    monkeypatch.setattr(run, "draw_case", drawn)
    summary = run.fuzz(3, 0, 1, tmp_path)
    assert summary.lines()[0] == "1 cases until it was interrupted: 1 passed, 0 refused, 0 failed"


def test_a_file_that_is_no_failure_is_named(tmp_path):
    """One line that says what was expected."""
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"x\.json: holds None; a fuzz-failure was expected"):
        run.replay_file(path)


@pytest.mark.slow
def test_random_expressions_pass(tmp_path):
    """The law: whatever the expression, datapath = oracle = Verilog = HLS, within the certificate."""
    summary = run.fuzz(200, 1, 1, tmp_path)
    assert summary.failed == {}
    assert summary.passed >= 150
