import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from page_sources import sources_of

from hwnorm.errors import InputError
from hwnorm.report.page import write_report

LAYERS = ("blocks.0.norm1", "blocks.10.norm2")


@pytest.fixture(scope="module")
def reported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its report, for reading only."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("reported") / "a run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(reported: Path) -> str:
    return (reported / "report.html").read_text(encoding="utf-8")


def page_of(run: Path) -> str:
    write_report(run)
    return (run / "report.html").read_text(encoding="utf-8")


def test_draws_a_picture_of_each_kind(reported: Path) -> None:
    expected = {"accuracy", "choices", "operators", "bytes"}
    expected |= {f"{kind}_{layer}" for kind in ("error", "fit", "front") for layer in LAYERS}
    files = {f"{name}.{kind}" for name in expected for kind in ("png", "svg")}
    assert {path.name for path in (reported / "report").iterdir()} == files


def test_needs_nothing_but_itself(page: str) -> None:
    sources = sources_of(page)
    assert len(sources) == 4 + 3 * len(LAYERS)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|url\(|@import|fetch\(", page)


def test_holds_the_pictures_of_the_folder(reported: Path, page: str) -> None:
    for path in (reported / "report").glob("*.png"):
        assert base64.b64encode(path.read_bytes()).decode() in page


def test_tells_the_figures_it_was_given(reported: Path, page: str) -> None:
    for layer in json.loads((reported / "choice.json").read_text())["layers"]:
        resources, certificate = layer["resources"], layer["datapath"]["certificate"]
        row = page[page.index(f">{layer['layer']}</a>") :].split("</tr>")[0]
        cells = re.findall(r"<td[^>]*>(?:<code>)?([^<]*)", row)
        assert cells[:10] == [
            layer["expression"],
            f"{layer['r2']:.4f}",
            f"{layer['ceiling_r2']:.4f}",
            "s10f6",
            "s10f6",
            str(layer["datapath"]["latency"]),
            str(resources["lut"]),
            str(resources["ff"]),
            str(resources["dsp"]),
            f"{certificate['max_error_ulp']:.3f}",
        ]
    for text in ("91.05 %", "50.15 %", "90.35 %", "McNemar p = 0.089", "89.70 to 92.20 %", "beef0123"):
        assert text in page
    # The leading sentence, and the table's row.
    assert "90.25 % (0.80 points below, 95 % interval -1.68 to +0.07, McNemar p = 0.089)" in page
    row = re.search(r"<tr><td>bit-true</td>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert re.findall(r">([^<]+)</td>", row[0])[-3:] == ["-0.80 (-1.68 to +0.07)", "47, 31", "0.089"]
    made_from = json.loads((reported / "choice.json").read_text())["made_from"]
    for text in (made_from["choices"], "builtin", "5.048", "predictions"):
        assert text in page


def test_says_which_kernel_failed(page: str) -> None:
    assert "Of 2 kernels, 2 are bit-exact in Verilator and 1 in HLS C++" in page
    rows = re.findall(r'<td class="name">.*?</tr>', page, re.DOTALL)
    assert [row.count(">NO<") for row in rows] == [0, 1]
    assert "input code -3, expected 17, got 18" in page


def test_escapes_the_kernels_source(page: str) -> None:
    assert "// a &lt; b &amp;&amp; c" in page
    assert "a < b" not in page


def test_says_what_is_missing(run: Path) -> None:
    for name in ("realign.json", "verdict.json"):
        (run / name).unlink()
    for name in ("packages", "profiles", "fronts"):
        shutil.rmtree(run / name)
    page = page_of(run)
    assert "accuracy is not measured" in page
    assert "2 kernels are not verified" in page
    for text in ("No Verilog: the kernel is", "No picture of the fit", "No picture of the Pareto front"):
        assert page.count(text) == len(LAYERS)
    assert ">yes<" not in page
    assert page.count("No picture of bytes a token") == 1
    # What a choice alone tells of: what its kernels are made of, and their errors.
    assert page.count("<img") == 2 + len(LAYERS)


def test_a_step_that_was_not_measured_is_said_to_be_missing(run: Path) -> None:
    shutil.rmtree(run / "profiles")
    shutil.rmtree(run / "fronts")
    path = run / "realign.json"
    data = json.loads(path.read_text())
    del data["top1"]["bit_true"]
    path.write_text(json.dumps(data))
    assert re.search(r"<td>bit-true</td><td class=\"missing\"[^>]*>not measured", page_of(run))


def test_without_classes_the_cosine_is_told(run: Path) -> None:
    """Of a network that makes features: no accuracy, no picture of it, and nothing is said to be missing."""
    path = run / "realign.json"
    data = json.loads(path.read_text())
    for step, score in data["scores"].items():
        score |= {"top1": None, "top5": None}
        if step in data["paired"]:
            nothing = dict.fromkeys(("both", "lost", "gained", "neither", "mcnemar_p"))
            data["paired"][step] = {"difference": -0.01, "interval": [-0.0125, -0.0075]} | nothing
    path.write_text(json.dumps(data | {"top1": {}}))
    page = page_of(run)
    assert "the cosine to the original&#39;s output is 0.9900 after re-alignment, 0.9900 with the" in page
    row = re.search(r"<tr><td>bit-true</td>.*?</tr>", page, re.DOTALL)
    assert row is not None
    cells = ["0.9900", "0.9800 to 1.0000", "0.9000", "-0.0100 (-0.0125 to -0.0075)"]
    assert re.findall(r">([^<]+)</td>", row[0]) == ["bit-true", *cells]
    assert "no realign.json" not in page
    assert not (run / "report" / "accuracy.png").exists()


def test_a_run_that_has_only_begun(run: Path) -> None:
    for path in list(run.iterdir()):
        if path.name not in {"run.json", "profiles"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run)
    assert "No function is chosen yet" in page
    assert page.count(">not chosen<") == len(LAYERS)


def test_the_same_run_gives_the_same_page(run: Path, page: str) -> None:
    assert page_of(run) == page


def test_pictures_of_an_earlier_choice_do_not_stay(reported: Path, tmp_path: Path) -> None:
    run = shutil.copytree(reported, tmp_path / "a run")
    (run / "realign.json").unlink()
    for name in ("choice.json", "choices.json"):
        (run / name).unlink()
    shutil.rmtree(run / "fronts")
    write_report(run)
    assert list((run / "report").iterdir()) == []


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("file", "field"), [("choice.json", "layers"), ("realign.json", "top1"), ("verdict.json", "packages")]
)
def test_a_damaged_artefact_is_named_and_nothing_is_written(run: Path, file: str, field: str) -> None:
    data = json.loads((run / file).read_text())
    del data[field]
    (run / file).write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"{file}: {field}: missing"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_what_is_stale_is_not_shown(run: Path) -> None:
    """After another choice: its accuracies, packages and verdicts are of the one before, and it is said."""
    path = run / "choice.json"
    data = json.loads(path.read_text())
    data["layers"][0] |= {"expression": "3*tanh(x)"}
    path.write_text(json.dumps(data))
    page = page_of(run)
    for file, stage in (("realign.json", "realign"), ("packages/.made_from", "emit")):
        assert (
            f"<code>{file}</code>: stale: made from another choice; `hwnorm {stage} {run}` renews it" in page
        )
    assert "<code>verdict.json</code>: stale, for what it was made from is (packages: stale" in page
    assert "accuracy is not measured" in page
    assert "2 kernels are not verified" in page
    assert "accuracy.png" not in {path.name for path in (run / "report").iterdir()}
    assert page.count("No Verilog: the kernel is") == len(LAYERS)
    assert "90.35 %" not in page


def test_weights_that_were_changed_are_told(run: Path) -> None:
    """The scores are of other weights than those that lie there."""
    (run / "realigned.safetensors").write_bytes(b"others")
    page = page_of(run)
    assert "stale: realigned.safetensors changed since it was written; `hwnorm realign" in page
    assert "accuracy is not measured" in page


def test_cost_weights_are_the_runs(run: Path) -> None:
    """The page tells the weights that the run was chosen by, not those of the target's file."""
    data = json.loads((run / "run.json").read_text())
    data["settings"]["cost_weights"] = "lut=2,dsp=77"
    (run / "run.json").write_text(json.dumps(data))
    page = page_of(run)
    row = page[page.index("LUT-equivalents</th>") :].split("</tr>")[0]
    assert "AREA 2," in row
    assert "DSP 77," in row
