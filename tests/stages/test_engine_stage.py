"""The accelerator of a run: picked within a budget, written as a package, run on Verilator, or refused."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.engine.emit import parameters
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import Norms, make_settings
from hwnorm.stages.control import open_control
from hwnorm.stages.engine import picked_program
from hwnorm.stages.main import STAGES, Work
from hwnorm.verify.toolchain import ap_types, find_toolchain

#: The run is made once: one worker has all tests of it.
pytestmark = pytest.mark.xdist_group("engine_stage")

SMALL = {"tokens": 7, "columns": 2, "depth": 4}


def command(*arguments: object) -> tuple[int, str]:
    """Exit status, and all that was printed on one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def folder(few_images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose norms are functions all, with an engine."""
    folder = tmp_path_factory.mktemp("engine") / "run"
    small = {"images": 40, "population": 8, "generations": 0, "input_bits": 12}
    run = RunFolder.create(folder, make_settings(data=few_images, **small), force=False)
    work = Work(Inputs(run.settings), 1)
    for stage in STAGES:
        if stage.name in ("capture", "search", "choose", "realign", "quantize"):
            stage.perform(run, work)
    config = folder.parent / "engine.json"
    config.write_text(json.dumps(SMALL))
    status, said = command("engine", folder, "--config", config)
    assert status == 0, said
    takes = json.loads((folder / "engine.json").read_text())["picked"]["resources"]
    told = "predicted {lut} LUT, {ff} FF, {dsp} DSP, {bram} BRAM".format(**takes)
    for part in ("7 tokens x 2 columns x 4 deep", "blocks.5.attn.scores", "waits: weights", told):
        assert part in said
    return folder


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """To be broken."""
    return shutil.copytree(folder, tmp_path / "run")


def test_every_logit_and_every_cycle_is_as_predicted(folder):
    status, said = command("cosim", folder, "--images", 2)
    told = json.loads((folder / "cosim.json").read_text())
    assert status == 0, said
    assert (told["images"], told["logits_equal"], told["cycles_equal"]) == (2, 2, 2)
    assert told["counted"] == told["predicted"]
    assert told["predicted"][1] == json.loads((folder / "engine.json").read_text())["picked"]["cycles"]


def test_the_package_checks_itself(copy):
    """Without hwnorm; tests/engine/test_handover.py tries to make it pass wrongly."""
    toolchain = find_toolchain()
    make = ["make", "-C", copy / "engine" / "sim"]
    done = subprocess.run(make, env=toolchain.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: 1 image" in done.stdout


def test_one_unit_of_all_functions_is_built_and_verified(copy):
    """In the cheapest form, with the costs of all; made again only where something else is asked for."""
    status, said = command("share", copy, "--jobs", 1)
    assert status == 0, said
    told = json.loads((copy / "share.json").read_text())
    costs = {form["form"]: form["resources"]["cost"] for form in told["forms"]}
    assert set(costs) == {"tables", "kernels", "loaded"}
    assert told["form"] == min(costs, key=costs.__getitem__)
    assert told["passed"]
    for cost in (*costs.values(), told["separate"]["cost"]):
        assert f"{cost:g}" in said
    layers = {layer["layer"]: layer for layer in told["layers"]}
    assert {f"blocks.{n}.mlp.act" for n in range(6)} < set(layers)
    assert "blocks.0.norm1" in layers
    verdict = json.loads((copy / "share" / "verdict.json").read_text())
    distinct = {layer["function"]: layer["codes"] for layer in layers.values()}
    assert verdict["codes"] == sum(distinct.values())
    assert verdict["exhaustive"]
    assert verdict["torch_within_certificate"]
    made = (copy / "share.json").stat().st_mtime_ns
    assert command("share", copy, "--jobs", 1)[0] == 0
    assert (copy / "share.json").stat().st_mtime_ns == made

    path = next((copy / "share" / "rtl").glob("*_core.v"))
    path.write_text(path.read_text() + "\n")
    status, said = command("synth", copy / "share")
    assert status == 2
    assert f"`hwnorm share {copy}` writes the package anew" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--form", "ram"), "'ram' is not one of 'tables',"),
        ((), "share: is no package, and would be replaced; move it away"),
    ],
)
def test_a_unit_that_cannot_be_built_is_refused(copy, options, message):
    (copy / "share").mkdir()
    status, said = command("share", copy, *options)
    assert status == 2
    assert message in said
    assert not (copy / "share.json").exists()


def test_the_package_lists_its_hls(folder):
    told = json.loads((folder / "engine" / "manifest.json").read_text())
    hls = {path.name for path in (folder / "engine" / "hls").iterdir()}
    assert {Path(name).name for name in told["files"] if name.startswith("hls/")} == hls
    assert {"hwnorm_engine.cpp", "engine_function_1.cpp", "run_hls.tcl", "Makefile"} <= hls


@pytest.mark.slow
def test_the_package_checks_its_hls(copy):
    """Without hwnorm; one logit that is another fails."""
    make = ["make", "-C", copy / "engine" / "hls", f"AP_TYPES={ap_types()}"]
    right = subprocess.run(make, capture_output=True, text=True, check=False)
    assert right.returncode == 0, right.stderr
    assert "PASS: 1 image\n" in right.stdout
    expected = copy / "engine" / "program" / "expected.txt"
    *others, logit = expected.read_text().split()
    expected.write_text(" ".join((*others, str(int(logit) - 1))) + "\n")
    assert subprocess.run(make, capture_output=True, check=False).returncode != 0


def test_a_wrong_engine_does_not_pass(copy):
    """Verilog of a package that was changed is refused by its hash."""
    path = copy / "engine" / "rtl" / "engine_lane.v"
    path.write_text(path.read_text().replace("biased_next = s_sum + s_bias;", "biased_next = s_sum;"))
    status, said = command("cosim", copy, "--images", 1)
    assert status == 2
    assert "engine_lane.v: changed since it was written; `hwnorm engine` writes the package again" in said


def test_an_engine_older_than_its_network_is_refused(copy):
    codes = copy / "integer.safetensors"
    told = json.loads((copy / "engine.json").read_text())
    told["made_from"]["integer"] = "0" * 16
    (copy / "engine.json").write_text(json.dumps(told))
    status, said = command("cosim", copy, "--images", 1)
    assert status == 2
    assert "engine.json: stale: made from another integer; `hwnorm engine" in said
    codes.unlink()
    assert command("engine", copy, "--budget", "dsp=20")[0] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "dsp=4000"), "option --budget: 4000 multipliers; the ZU9EG (ZCU102) has 2520"),
        (("--budget", "dsp=0"), "option --budget: 'dsp=0'; dsp=0.5 (a share of the device) or dsp=200"),
        (("--budget", "speed=1"), "option --budget: 'speed=1'; dsp=0.5"),
        (("--budget", "dsp=0.0001"), "engine: 0 multipliers; the smallest engine has more"),
        (("--budget", "lut=400000"), "option --budget: 400000 LUTs; the ZU9EG (ZCU102) has 274080"),
        (
            ("--budget", "dsp=20,lut=900"),
            "engine: at most 900 LUT, 548160 FF, 20 DSP, 1824 BRAM; the near",
        ),
        (
            ("--fps", "1000000", "--budget", "dsp=20"),
            "engine: 250 cycles an image are asked for; the fastest",
        ),
        (("--config", "none.json"), "none.json: cannot be read as JSON"),
    ],
)
def test_what_nothing_meets_is_refused(copy, options, message):
    """In one line; the package that was there stays."""
    before = (copy / "engine" / "manifest.json").read_text()
    status, said = command("engine", copy, *options)
    assert status == 2
    assert message in said
    assert (copy / "engine" / "manifest.json").read_text() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 40}, "engine: depth 40; 1 to 16 are built"),
        ({"columns": 20}, "engine: columns 20: 40 rows of 8 bits at a time; at most 32 can be"),
        ({"beat": 100}, "engine: beat 100; a multiple of 64 from 64 to 1024 is streamed"),
        ({"lanes": 4}, "lanes"),
        ({"tokens": "many"}, "tokens"),
    ],
)
def test_engines_that_cannot_be_built_are_refused(copy, tmp_path, changes, message):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(SMALL | changes))
    status, said = command("engine", copy, "--config", path)
    assert status == 2
    assert message in said


def test_the_budget_picks_the_fastest_and_a_rate_the_smallest(copy):
    """The front is one: more multipliers, fewer cycles."""
    assert command("engine", copy, "--budget", "dsp=24")[0] == 0
    told = json.loads((copy / "engine.json").read_text())
    front = [(point["dsps"], point["cycles"]) for point in told["front"]]
    assert len(front) > 2
    assert all(a < b and c > d for (a, c), (b, d) in itertools.pairwise(front))
    assert told["picked"] == told["front"][-1]
    assert front[-1][0] <= 24
    # Fewer LUTs than it took leave a slower one, within them.
    taken = told["picked"]["resources"]["lut"]
    assert command("engine", copy, "--budget", f"dsp=24,lut={taken - 1}")[0] == 0
    less = json.loads((copy / "engine.json").read_text())["picked"]
    assert less["resources"]["lut"] < taken
    assert less["cycles"] > front[-1][1]
    wanted = told["clock_mhz"] * 1e6 / front[1][1]
    assert command("engine", copy, "--fps", wanted, "--budget", "dsp=24")[0] == 0
    again = json.loads((copy / "engine.json").read_text())["picked"]
    assert (again["dsps"], again["cycles"]) == front[1]


def test_an_engine_for_another_target_than_the_runs(copy, tmp_path):
    """Its device shares its own multipliers, and its functions are cut into stages for it."""
    config = tmp_path / "engine.json"
    config.write_text(json.dumps(SMALL))
    status, said = command("engine", copy, "--target", "ecp5", "--clock", 100, "--config", config)
    assert status == 0, said
    assert "images/s at 100 MHz (assumed)" in said
    told = json.loads((copy / "engine.json").read_text())
    assert (told["target"], told["picked"]["engine"]["device"]) == ("ecp5", "ecp5")
    manifest = json.loads((copy / "engine" / "manifest.json").read_text())
    assert manifest["clock_mhz"] == 100
    program = picked_program(RunFolder.open(copy), Inputs(RunFolder.open(copy).settings))
    assert parameters(program) == manifest["parameters"]
    assert {kernel.target for kernel in (*program.functions, *program.exponentials)} == {"ecp5"}
    for options, message in (
        (("--target", "ice40"), "engine: target ice40; multipliers are shared on xcup and ecp5"),
        (("--target", "ecp5", "--clock", 400), "clock 400 MHz:"),
        (
            ("--target", "ecp5", "--clock", 100, "--config", config),
            "device xcup; the engine is built for ecp5",
        ),
    ):
        config.write_text(json.dumps(SMALL | {"device": "xcup"}))
        status, said = command("engine", copy, *options)
        assert status == 2
        assert message in said
        assert json.loads((copy / "engine" / "manifest.json").read_text()) == manifest


def test_norms_that_stay_are_computed_beside_functions(finished, tmp_path):
    """Of the 13 norms of this run five are functions."""
    run = shutil.copytree(finished.folder, tmp_path / "run")
    config = tmp_path / "engine.json"
    config.write_text(json.dumps(SMALL))
    status, said = command("engine", run, "--config", config)
    assert status == 0, said
    told = json.loads((run / "engine.json").read_text())
    assert sum(phase["op"] == "norm" for phase in told["phases"]) == 8
    assert (run / "engine" / "program" / "norms.mem").is_file()


def test_the_control_lies_beside_the_run(copy, tmp_path):
    """Neither is taken for the other: each has its integers, its engine and its package."""
    config = tmp_path / "engine.json"
    config.write_text(json.dumps(SMALL))
    status, said = command("cosim", copy, "--norms", "layernorm")
    assert status == 2
    assert f"layernorm: not there; run `hwnorm engine {copy} --norms layernorm` first" in said
    names = ("engine.json", "integer.json", "run.json", "engine/manifest.json")
    before = {name: (copy / name).read_bytes() for name in names}
    status, said = command("engine", copy, "--norms", "layernorm", "--config", config)
    assert status == 0, said
    assert f"{copy / 'layernorm' / 'engine'}; hwnorm cosim {copy} --norms layernorm runs it" in said
    assert {name: (copy / name).read_bytes() for name in names} == before
    own, control = (json.loads((at / "engine.json").read_text()) for at in (copy, copy / "layernorm"))
    assert sum(phase["op"] == "norm" for phase in control["phases"]) == 13
    assert not [phase for phase in own["phases"] if phase["op"] == "norm"]
    assert control["picked"]["dsps"] > own["picked"]["dsps"]
    assert control["picked"]["cycles"] > own["picked"]["cycles"]
    status, said = command("cosim", copy, "--norms", "layernorm", "--images", 1)
    assert status == 0, said
    assert (copy / "layernorm" / "cosim.json").is_file()
    # Its integers are current: nothing is made again.
    made = (copy / "layernorm" / "integer.json").stat().st_mtime_ns
    assert command("engine", copy, "--norms", "layernorm", "--config", config)[0] == 0
    assert (copy / "layernorm" / "integer.json").stat().st_mtime_ns == made

    run = RunFolder.open(copy)
    run.settings = run.settings.model_copy(update={"ratio8": 0.5})
    run.write_settings()
    status, said = command("cosim", copy, "--norms", "layernorm")
    assert status == 2
    assert "stale: made with other settings; `hwnorm engine" in said
    again = RunFolder.create(copy, run.settings.model_copy(update={"seed": 1}), force=True)
    again.start()
    assert not (copy / "layernorm").exists()


def test_a_run_with_layernorms_is_its_own_control(copy, tmp_path):
    run = RunFolder.open(copy)
    run.settings = run.settings.model_copy(update={"norms": Norms.LAYERNORM})
    run.write_settings()
    assert open_control(run, Norms.LAYERNORM) is run
    status, said = command("engine", copy, "--norms", "functions")
    assert status == 2
    assert "option --norms:" in said
    assert "its own network has LayerNorms; `hwnorm quantize" in said


def test_a_folder_of_ones_own_is_left_where_the_control_would_be(copy):
    (copy / "layernorm").mkdir()
    status, said = command("engine", copy, "--norms", "layernorm")
    assert status == 2
    assert "layernorm: is no run folder, and the control would be there; move it away" in said
