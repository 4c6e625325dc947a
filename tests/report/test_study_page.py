"""The page of a study as a file: what it says, holds and leaves out. ``test_browser.py`` opens it."""

from __future__ import annotations

import builtins
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_sources import sources_of
from run_folders import put
from study_rows import TRIALS, row_of, write_table

from hwnorm.cli import main
from hwnorm.compare.comparison import Comparison
from hwnorm.compare.designs import Figures
from hwnorm.cost.cost import Resources
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import digest
from hwnorm.report.artefacts import read_run
from hwnorm.report.curves import Curves
from hwnorm.report.details import Sources, study_details
from hwnorm.report.pareto import pareto_plot, stairs
from hwnorm.report.study import Study, read_study
from hwnorm.report.study_page import write_study_report
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import COMPARISON
from hwnorm.synth.flow import Counts
from hwnorm.synth.package import PackageSynthesis, Synthesis


@pytest.fixture(scope="module")
def page(studied: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = shutil.copytree(studied, tmp_path_factory.mktemp("page") / "bits")
    assert write_study_report(folder) == folder / "report.html"
    names = {f"{name}.{kind}" for name in ("front", "operators", "bytes") for kind in ("png", "svg")}
    assert {path.name for path in (folder / "report").iterdir()} == names
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found(studied: Path) -> Study:
    return read_study(studied)


def embedded(page: str, name: str) -> Any:
    match = re.search(rf'<script type="application/json" id="data-{name}">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_the_front_is_of_verified_trials(found: Study) -> None:
    """Trial 3 is the most accurate, but a kernel of it failed; 4 is larger and worse than 1; 2 failed."""
    assert [trial.number for trial in found.shown] == [0, 1, 3, 4]
    assert [trial.number for trial in found.front] == [0, 1]
    assert stairs(found.front, 200.0) == ([100.0, 120.0, 200.0], [90.5, 91.0, 91.0])


def test_the_family_of_a_trial_is_that_of_most_kernels(found: Study) -> None:
    """Of two with one kernel each, the first of the legend's order; of no run folder, unknown."""
    assert [trial.family for trial in found.trials] == ["evolved", "evolved", "unknown", "evolved", "evolved"]


def test_the_summary_promises_nothing(page: str) -> None:
    """Nearest to LayerNorm under the front, with its distance; what failed; how sure the figures are."""
    assert "The smallest network within 1 point of LayerNorm is trial 1: 91.00 % on 2,000 test images" in page
    assert "0.75 points below the original" in page
    assert "Of 5 trials, 4 completed and 1 failed; in 3 of the completed ones" in page
    assert "the 95 % interval is 1.3 points to either side" in page


def test_no_trial_near_the_original(study: Path) -> None:
    """The most accurate is named instead, and what it loses."""
    write_table(study / "results.parquet", [row_of(0, 80.0, 8, True), row_of(1, 85.0, 8, True)])
    page = write_study_report(study).read_text()
    assert "No trial comes within 1 point of LayerNorm; the most accurate is trial 1: 85.00 %" in page


def test_needs_nothing_but_itself(page: str) -> None:
    """No address but data; Plotly is inside with its licence; a page is far smaller than 15 MB."""
    sources = sources_of(page)
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "Licensed under the MIT license" in page
    assert len(page) < 15_000_000


def test_the_storage_of_the_study_is_not_told(page: str) -> None:
    """It may hold a password, and pages go by mail."""
    assert "secret" not in page
    assert "postgresql" not in page


def test_all_trials_are_in_the_table(page: str) -> None:
    """Without JavaScript too: a row a trial, failed ones with their errors, escaped."""
    rows = re.findall(r'<tr data-trial="(\d+)">(.*?)</tr>', page, re.DOTALL)
    assert [int(number) for number, _ in rows] == list(range(len(TRIALS)))
    for (_, row), (accuracy, bits, verified) in zip(rows, TRIALS, strict=True):
        assert f'<td class="number">{bits}</td>' in row
        assert (">failed<" in row) == (accuracy is None)
        assert (f">{accuracy or 0:.2f} %<" in row) == (accuracy is not None)
        assert (">NO<" in row) == (not verified)
    assert "ToolError: &lt;yosys&gt; stopped &amp; said nothing" in page


def test_verilog_is_held_once(page: str) -> None:
    """Four trials have the same two kernels of two files each; a comment in them ends no script."""
    details, sources = embedded(page, "trials"), embedded(page, "sources")
    kernels = [text for text in sources.values() if "ends no </script> <!--" in text]
    assert len(kernels) == 2
    for number in ("0", "1", "3", "4"):
        for layer in details[number]["layers"]:
            files = [one["file"] for one in layer["sources"]]
            top = "norm_" + layer["name"].replace(".", "_")
            assert files == [f"packages/{top}/rtl/{top}_core.v", f"packages/{top}/rtl/{top}.v"]
            assert f"module {top}_core;" in sources[layer["sources"][0]["key"]]
            assert any("module layernorm" in sources[one["key"]] for one in layer["norm_sources"])
    assert details["2"]["layers"] == []


def test_what_has_no_room_is_left_out_and_named(found: Study) -> None:
    """The front comes first; what is left out has no key, and its trial is listed."""
    everything = Sources()
    study_details(found, everything, Curves())
    assert everything.left_out == []
    room = Sources(most=sum(map(len, everything.texts.values())) - 1)
    details = study_details(found, room, Curves())
    keys = {
        (number, one["file"]): one["key"]
        for number, trial in details.items()
        for layer in trial["layers"]
        for one in layer["sources"] + layer["norm_sources"]
    }
    assert keys[0, "packages/norm_blocks_0_norm1/rtl/norm_blocks_0_norm1_core.v"]
    assert sorted({number for (number, _), key in keys.items() if key is None}) == sorted(room.left_out) != []


def test_the_curves_are_those_of_the_artefacts(studied: Path, page: str) -> None:
    """f and the integers are the expression and the datapath; trials on the same data share."""
    shown = embedded(page, "page")
    layers = [trial["layers"] for trial in embedded(page, "trials").values() if trial["layers"]]
    assert len(shown["curves"]) == 2
    run = read_run(studied / "trials" / "0001")
    for number, layer in enumerate(run.layers):
        assert layer.chosen is not None
        assert layer.chosen.datapath is not None
        (curves,) = {json.dumps(of_trial[number]["curves"]) for of_trial in layers}
        found = json.loads(curves)
        x = np.array(shown["curves"][found["data"]]["x"])
        assert found["f"] == pytest.approx(parse(layer.chosen.expression).numpy(x), abs=0.01)
        path = layer.chosen.datapath
        exact = path.output.to_float(path.evaluate(path.input.quantize(x)))
        assert np.median(np.abs(np.array(found["bits"]) - exact)) == pytest.approx(0, abs=1e-3)


def test_measured_hardware_stands_beside_the_predicted(study: Path) -> None:
    """From the trial's compare.json and from the package's synthesis.json."""
    run = RunFolder.open(study / "trials" / "0001")
    layer, top = "blocks.0.norm1", "norm_blocks_0_norm1"
    rows = [
        Figures(
            layer=layer,
            design=design,
            expression="x",
            r2_bit_true=None,
            lut=lut,
            ff=50,
            dsp=1,
            bram=0,
            area=0.0,
            fmax_mhz=None,
            latency=127,
            cycles_per_token=64,
            elements_per_cycle=1.0,
            bytes_per_token=256,
            bytes_unbuffered=384,
            area_cycles=1.0,
        )
        for design, lut in (("LayerNorm", 77), ("chosen", 7))
    ]
    put(run, COMPARISON, Comparison(target="ecp5", unit="LUT", lanes=1, tools="Yosys", rows=tuple(rows)))
    found = PackageSynthesis(
        top=top,
        target="ice40",
        unit="LUT",
        lanes=2,
        measured=Counts(88, 50, 1, 0),
        predicted=Resources(lut=80, ff=50, dsp=1, bram=0, area=0.0, cost=1.0),
        fmax_mhz=301.2,
        predicted_fmax_mhz=290.0,
        tools="Yosys",
        logs=(),
    )
    package = run.package(top)
    origin = {"package": digest(package / "manifest.json")}
    Synthesis(top=top, targets={"ice40": found}).write(package / "synthesis.json", None, origin)
    page = write_study_report(study).read_text()
    assert "the stream stages of trial 1 take 7 LUT, the LayerNorms in their places 77." in page
    (shown, _) = embedded(page, "trials")["1"]["layers"]
    assert shown["resources"][1:] == [
        ["its stream stage, 2 lanes", "predicted for ice40", "80", "50", "1", "0", "290", ""],
        ["its stream stage, 2 lanes", "synthesized for ice40", "88", "50", "1", "0", "301", ""],
        ["LayerNorm: stream stage, 1 lane", "synthesized for ecp5", "77", "50", "1", "0", "", "127"],
        ["this function: stream stage, 1 lane", "synthesized for ecp5", "7", "50", "1", "0", "", "127"],
    ]


def test_the_plot_holds_every_trial(found: Study) -> None:
    """One marker a trial that was measured, with its number; shapes differ where families do."""
    figure = pareto_plot(found)
    numbers = [n for trace in figure["data"] for n in trace.get("customdata", [])]
    assert sorted(numbers) == [0, 1, 3, 4]
    names = [trace["name"] for trace in figure["data"]]
    assert names == ["front", "evolved", "not verified", "selected"]
    assert json.dumps(figure)  # plain JSON: lists of numbers, no packed arrays


def test_a_study_without_a_complete_trial(study: Path) -> None:
    """A page all the same: the errors are what there is to see."""
    write_table(study / "results.parquet", [row_of(0, None, 8, True)])
    page = write_study_report(study).read_text()
    assert "No trial is complete and verified: there is no front." in page
    assert "said nothing" in page
    assert embedded(page, "page") == {"plot": None, "fit": None, "curves": {}, "start": 0, "front": []}


def test_features_without_labels(study: Path) -> None:
    """The cosine in the place of top-1: no per cent, no interval."""
    rows = [row_of(n, 0.98 + n / 1000, 8, True) | {"accuracy_name": "cosine"} for n in (0, 1)]
    write_table(study / "results.parquet", [row | {"accuracy_layernorm": 1.0} for row in rows])
    page = write_study_report(study).read_text()
    assert "No trial comes within 0.01 of LayerNorm; the most accurate is trial 1: 0.9810" in page
    assert "0.0190 below the original" in page
    assert "95 % interval" not in page


def test_a_study_whose_run_folders_did_not_come_along(study: Path) -> None:
    """The table is enough for the front."""
    shutil.rmtree(study / "trials")
    page = write_study_report(study).read_text()
    assert "No picture: there is no front, or the trials" in page
    assert embedded(page, "trials")["1"]["layers"] == []


def test_the_same_study_gives_the_same_page(study: Path, page: str) -> None:
    assert write_study_report(study).read_text(encoding="utf-8") == page


def test_the_command_takes_the_file_or_the_folder(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (study, study.with_suffix(".toml")):
        monkeypatch.setattr("sys.argv", ["hwnorm", "report", str(path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        assert f"report: {study / 'report.html'}" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["pyarrow", "plotly"])
def test_a_missing_extra_is_one_line(study: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'hwnorm\[sweep\]' adds it"):
        write_study_report(study)
    assert not (study / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("study.json", None, r"no study \(it has no study.json\)"),
        ("results.parquet", None, r"results\.parquet: not there; `hwnorm sweep .*bits\.toml` makes it"),
        ("results.parquet", "PAR?", r"results\.parquet: cannot be read as Parquet"),
    ],
)
def test_what_is_missing_or_damaged_is_named(study: Path, file: str, text: str | None, message: str) -> None:
    (study / file).unlink()
    if text is not None:
        (study / file).write_text(text)
    with pytest.raises(InputError, match=message):
        write_study_report(study)


def test_a_table_of_other_columns_is_refused(study: Path) -> None:
    row = row_of(0, 90.0, 8, True)
    del row["area"]
    write_table(study / "results.parquet", [row])
    with pytest.raises(InputError, match=r"results\.parquet: column area: missing"):
        write_study_report(study)
