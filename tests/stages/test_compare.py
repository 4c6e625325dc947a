"""``hwnorm compare`` on one small layer: every design by the same tools, and what follows from that."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from run_folders import begun, choice_of, profile_artefact, put, put_alone, some_profile, straight
from small_packages import offset_kernel
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.compare.designs import CHOSEN, FAMILIES, LAYERNORM, figures, scalar_designs
from hwnorm.cost.cost import resources
from hwnorm.emit import DatapathStage
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import Chosen
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.report.page import write_report
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE, COMPARISON, FRONT, PROFILE
from hwnorm.search.layer import Front
from hwnorm.stages.compare import compare
from hwnorm.synth.flow import Counts
from hwnorm.synth.kernel import Measured
from hwnorm.targets.target import load_target

CHANNELS = 32
#: Other ones than the target's own.
WEIGHTS = "lut=2,ff=3,dsp=70"


@pytest.fixture(scope="module")
def compared(tmp_path_factory, yosys):
    """A run whose first norm is a clip, and whose second folds, compared on ECP5; its folder and its rows."""
    run = begun(tmp_path_factory.mktemp("compare"), target="ecp5", clock_mhz=80.0, cost_weights=WEIGHTS)
    for position, layer in enumerate(("norm", "line")):
        put(run, PROFILE, profile_artefact(some_profile(CHANNELS), layer, position), layer)
    target = load_target("ecp5")
    datapath = lower(parse("clip(1.25*x, 1.5)"), FixedFormat(10, 6), FixedFormat(8, 5), target, 80.0)
    clip = Chosen(
        layer="norm",
        top="hwnorm_norm",
        expression="clip(1.25*x, 1.5)",
        family="clip-affine",
        r2=0.9,
        r2_bit_true=0.9,
        ceiling_r2=1.0,
        resources=resources(datapath.nodes, datapath.latency, target),
        datapath=datapath,
    )
    front = Front(
        layer="line",
        position=1,
        input=FixedFormat(10, 6),
        output=FixedFormat(8, 5),
        target="ecp5",
        ceiling_r2=1.0,
        hypervolume=(),
        points=(),
    )
    put(run, FRONT, front, "line")
    put_alone(run, CHOICE, choice_of(clip, straight("line", "1.1*x")))
    return run.path, compare(run, None, 2, False, 2).rows


def test_every_design_of_each_layer_is_there(compared):
    """LayerNorm, the families and the chosen function, each measured; one that folds takes nothing."""
    _, rows = compared
    assert [row.design for row in rows] == 2 * [LAYERNORM, *FAMILIES.values(), CHOSEN]
    *built, folded = rows
    assert all(row.lut > 0 and row.ff > 0 and row.fmax_mhz is None for row in built)
    assert (folded.lut, folded.ff, folded.dsp, folded.bram, folded.latency, folded.area_cycles) == (0,) * 6
    assert (folded.bytes_per_token, folded.bytes_unbuffered) == (0, 0)
    norm, *scalars = rows[: len(rows) // 2]
    # A table of 512 entries takes what its contents make of it; functions take a fifth of the norm at most.
    table = [row.lut for row in scalars if row.design == FAMILIES["table"]]
    assert norm.lut > 5 * max(row.lut for row in scalars if row.design != FAMILIES["table"])
    assert norm.lut > 2 * max(table)
    assert all(row.r2_bit_true >= 0.9 for row in scalars)
    assert rows[1].r2_bit_true > 0.99  # y is a tanh of x


def test_latency_and_bytes_follow_from_the_formats(compared):
    """A LayerNorm waits for its token; without a buffer it reads it twice: D (2 in + out)."""
    _, rows = compared
    norm, *scalars = rows[: len(rows) // 2]
    assert norm.latency > CHANNELS // 2 > max(row.latency for row in scalars)
    for row in rows:
        assert (row.cycles_per_token, row.elements_per_cycle) == (CHANNELS // 2, 2.0)
        passes = 2 if row.design == LAYERNORM else 1
        built = row is not rows[-1]  # which folds
        assert row.bytes_per_token == built * CHANNELS * (2 + 1)
        assert row.bytes_unbuffered == built * CHANNELS * (2 * passes + 1)


def test_a_norm_over_all_axes_but_the_batchs_is_said_not_to_be_covered(tmp_path):
    """A GroupNorm of one group: LayerNorm in hardware is another; nothing is held beside it."""
    run = begun(tmp_path, target="ecp5", clock_mhz=80.0)
    found = profile_artefact(some_profile(CHANNELS), "norm", 0).model_copy(update={"whole": True})
    put(run, PROFILE, found, "norm")
    put_alone(run, CHOICE, choice_of(straight("norm", "1.1*x")))
    result = CliRunner().invoke(app, ["compare", str(run.path), "--target", "ecp5"])
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if " left " not in line]
    assert line.startswith("hwnorm: layer 'norm': its norm is over all axes but the batch's")
    assert not (run.path / "compare.json").exists()


def test_the_proxy_of_energy_weighs_area_and_cycles():
    """LUTs, flip-flops, DSP blocks and memories by the target's weights, times the cycles of a token."""
    target = load_target("ecp5")
    kernel = DatapathStage(offset_kernel(), "stage", 4)
    row = figures("n", "d", "x", None, Counts(100, 10, 1, 2), None, kernel, 64, 4, target)
    w = target.weights
    assert row.area_cycles == pytest.approx((100 * w.area + 10 * w.ff + w.dsp + 2 * w.bram) * 16, abs=0.1)


def test_the_runs_cost_weights_are_those_of_its_target(compared, monkeypatch):
    """They weigh the figures of the run's own target, named or not; another target has those of its file."""
    folder, rows = compared
    run, counts = RunFolder.open(folder), Counts(100, 10, 1, 0)
    for row in rows:
        weighed = 2 * row.lut + 3 * row.ff + 70 * row.dsp + load_target("ecp5").weights.bram * row.bram
        assert row.area_cycles == pytest.approx(weighed * row.cycles_per_token, abs=0.1)

    made = Measured(counts, None)
    monkeypatch.setattr("hwnorm.compare.measure.synthesize_kernel", lambda *_, **__: made)
    monkeypatch.setattr(run, "write", lambda *_: None)
    weights = load_target("xcup").weights
    other = 100 * weights.area + 10 * weights.ff + weights.dsp
    for name, weighed in (("ecp5", 2 * 100 + 3 * 10 + 70), ("xcup", other)):
        first = compare(run, name, 2, False, 1).rows[0]
        assert first.area_cycles == pytest.approx(weighed * first.cycles_per_token, abs=0.1)


def test_totals_are_sums_over_the_layers(compared):
    """Both layers have the same formats: twice the figures of the first, of the chosen functions the one."""
    folder, rows = compared
    totals = RunFolder.open(folder).read(COMPARISON).totals()
    for row in rows[: len(rows) // 2]:
        assert totals[row.design]["lut"] == row.lut * (1 if row.design == CHOSEN else 2)


def test_the_artefact_and_the_report_hold_the_rows(compared):
    """``compare.json`` is read back, and the page shows a line a design and says what is a proxy."""
    folder, rows = compared
    data = json.loads((folder / "compare.json").read_text())
    assert data["kind"] == "compare"
    assert data["rows"] == [asdict(row) for row in rows]
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert "LayerNorm and what replaces it" in page
    assert "a proxy of energy, not a measurement" in page
    for row in rows:
        assert f"{row.lut}</td>" in page


def test_families_that_miss_the_clock_are_built_for_a_slower_one():
    """ECP5 looks up no table within 2 ns: every family is there all the same, with fewer stages a clock."""
    x = torch.randn(64, CHANNELS, generator=torch.Generator().manual_seed(0))
    profile = LayerProfile.empty(CHANNELS, bin_edges(x))
    profile.update(x, 1.4 * torch.tanh(x), images=8)
    found = scalar_designs(profile, (FixedFormat(10, 6), FixedFormat(8, 5)), load_target("ecp5"), 500.0)
    assert set(found) == set(FAMILIES)
    assert all(datapath.clock_mhz < 500 for _, datapath in found.values())
