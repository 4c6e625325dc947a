"""Shipped targets came from the tools: a sample of their rows is measured again."""

from __future__ import annotations

import pytest

from hwnorm.characterize.grid import operations, random_functions
from hwnorm.characterize.measure import Work, measure_kernels, measure_operations
from hwnorm.characterize.samples import FEWEST_RESULTS, draw_sample
from hwnorm.cost.cost import resources
from hwnorm.targets.target import load_target
from hwnorm.tools import YOSYS

#: One operation of several kinds: sums, choices, a table's delay aside, a product, stream parts.
SAMPLE = (
    "add_12",
    "sub_8",
    "magnitude_10",
    "mux_8",
    "compare_12",
    "fits_8",
    "mul_4_6",
    "skid_18",
    "pipe_3",
)


@pytest.mark.parametrize("name", ["xcup", "ecp5", "ice40", "asic"])
def test_rows_measured_again_are_the_shipped_ones(name, yosys, tmp_path):
    """Area, flip-flops and DSP blocks of a sample of rows, by the same flow."""
    target = load_target(name)
    grid = {o.name: o for o in operations(logic_only=target.device.dsp == 0)}
    sample = [grid[wanted] for wanted in SAMPLE]
    found = measure_operations(Work(tmp_path, target, YOSYS, 1), sample)
    for operation in sample:
        counts, _ = found[operation.name]
        row = next(row for row in target.cells[operation.kind] if row.size == operation.size)
        area = counts.lut if target.unit == "LUT" else counts.area
        assert (round(area, 3), counts.ff, counts.dsp) == (row.area, row.ff, row.dsp), operation.name


def test_a_measurement_goes_on_where_it_stopped(yosys, tmp_path):
    """What lies in the work folder is not measured again: without a synthesizer it is still there."""
    target = load_target("ecp5")
    (operation,) = [o for o in operations(logic_only=False) if o.name == "add_4"]
    first = measure_operations(Work(tmp_path, target, YOSYS, 1), [operation])
    again = measure_operations(Work(tmp_path, target, "no-such-yosys", 1), [operation])
    assert first == again


def test_predictions_are_near_synthesis_on_kernels_that_nothing_was_fitted_to(yosys, tmp_path):
    """Three kernels of another seed: LUTs within 40 %, flip-flops within 3 % (the benchmark measures 200)."""
    target = load_target("ecp5")
    kernels = [draw_sample(77, index).lower(target) for index in range(3)]
    for measured in measure_kernels(Work(tmp_path, target, YOSYS, 1), kernels):
        predicted = resources(measured.datapath.nodes, measured.datapath.latency, target)
        assert predicted.lut == pytest.approx(measured.total.lut, rel=0.4)
        assert predicted.ff == pytest.approx(measured.total.ff, rel=0.03, abs=2)
        assert predicted.dsp == measured.total.dsp


def test_samples_are_repeatable_and_no_trivial_functions():
    """The same seed and index give the same kernel; results take more than a few codes."""
    for index in range(8):
        sample = draw_sample(3, index)
        assert sample == draw_sample(3, index)
        datapath = sample.lower(load_target("xcup"))
        assert len(set(datapath.evaluate(datapath.input.codes()).tolist())) >= FEWEST_RESULTS // 2
        assert 8 <= datapath.input.width <= 16
        assert 8 <= datapath.output.width <= 16


def test_random_functions_depend_on_all_their_inputs():
    """A function that ignores an input would be counted as too cheap."""
    for operation in random_functions():
        for bit in range(operation.w):
            pairs = [(i, i ^ (1 << bit)) for i in range(1 << operation.w)]
            assert any(operation.contents[i] != operation.contents[j] for i, j in pairs)
