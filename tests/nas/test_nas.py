"""A study from its file to a point's engine: the same however it is run; test images are looked at last."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from nas.conftest import TRAIN, command
from torch import nn

import hwnorm.nas.scoring as scoring
from hwnorm.builtin import model as builtin
from hwnorm.data.imageset import ImageSet
from hwnorm.nas.nas import nas
from hwnorm.nas.points import Points
from hwnorm.nas.scoring import context
from hwnorm.nas.spacefile import read_space
from hwnorm.nas.stored import NasFront, Scores, StoredSpace
from hwnorm.runs.inputs import Inputs
from hwnorm.supernet.search import front_of

#: The study is made once: one worker has all tests of it.
pytestmark = pytest.mark.xdist_group("nas")


@pytest.fixture
def copy(searched: Path, tmp_path: Path) -> Path:
    """Of the study, to be changed."""
    context.cache_clear()
    shutil.copytree(searched.parent, tmp_path / "study")
    yield tmp_path / "study" / searched.name
    context.cache_clear()


def front_at(path: Path) -> NasFront:
    return NasFront.read(path.with_suffix("") / "front.json")


def test_the_front_is_of_what_was_scored(searched: Path) -> None:
    front, scores = front_at(searched), Scores(searched.with_suffix("") / "scores.jsonl")
    assert front.scored == {"nsga2": 8, "random": 8}
    best = dict(front_of(scores.known))
    assert front.front == len(best)
    for point in front.points:
        assert best[point.subnet.subnet()].cycles == point.score.cycles
    cycles = [point.cycles for point in front.points]
    assert cycles == sorted(cycles)
    assert cycles[-1] <= front.whole.cycles
    assert all(point.top1 is not None for point in front.points)


def test_no_image_is_in_two_parts(searched: Path) -> None:
    study = read_space(searched)
    split = scoring.Split.of(study, Inputs(study.settings).model)
    seen = [
        tuple(map(float, image.flatten()))
        for part in ("fit", "held", "measure")
        for image in scoring.pixels_of(getattr(split, part))
    ]
    assert len(seen) == 30 + 20 + (TRAIN - 40 - 20)
    assert len(set(seen)) == len(seen)
    run = {
        tuple(map(float, image.flatten()))
        for image in scoring.pixels_of(Inputs(study.settings).training_images)
    }
    for part in ("held", "measure"):
        for image in scoring.pixels_of(getattr(split, part)):
            assert tuple(map(float, image.flatten())) not in run


def test_one_process_finds_the_same(copy: Path, searched: Path) -> None:
    folder = copy.with_suffix("")
    (folder / "scores.jsonl").unlink()
    (folder / "front.json").unlink()
    shutil.rmtree(folder / "points")
    nas(read_space(copy), jobs=1)
    assert front_at(copy) == front_at(searched)


def test_a_line_that_was_half_written_is_made_again(copy: Path, searched: Path) -> None:
    """As a killed process leaves it; what is there is not scored anew."""
    path = copy.with_suffix("") / "scores.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:20])
    nas(read_space(copy), jobs=1)
    assert sorted(path.read_text().splitlines()) == sorted(line.strip() for line in lines)
    assert front_at(copy) == front_at(searched)


def test_scores_look_at_no_test_image(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what orders channels and blocks."""
    opened = []
    load = scoring.load_images

    def watched(source: object, split: str, *rest: object) -> object:
        opened.append(split)
        return load(source, split, *rest)

    monkeypatch.setattr(scoring, "load_images", watched)
    monkeypatch.setattr("hwnorm.runs.inputs.load_images", watched)
    (copy.with_suffix("") / "ordering.safetensors").unlink()
    found = context(copy)
    assert found.score(found.space.smallest) is not None
    assert set(opened) == {"train"}


def test_a_point_is_fine_tuned_where_the_study_asks_for_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By method D, on images that it is neither scored nor measured on."""
    found = context(copy)
    subnet = found.space.smallest
    plain = Points(found).build(subnet)
    shutil.rmtree(Points(found).folder(subnet))
    seen = []

    @torch.no_grad()
    def halve(student: nn.Module, teacher: nn.Module, sites: object, images: ImageSet, *rest: Any) -> None:
        seen.append((images, rest[0]))
        student.head.weight.mul_(0.5)

    monkeypatch.setattr("hwnorm.nas.points.finetune", halve)
    file = found.study.file
    search = file.search.model_copy(update={"epochs": 2})
    found.study = replace(found.study, file=file.model_copy(update={"search": search}))
    tuned = Points(found).build(subnet)
    ((images, recipe),) = seen
    assert (recipe.method, recipe.epochs) == ("D", 2)
    held = {tuple(image.flatten().tolist()) for image in scoring.pixels_of(found.split.held)}
    held |= {tuple(image.flatten().tolist()) for image in scoring.pixels_of(found.split.measure)}
    trained = {tuple(image.flatten().tolist()) for image in scoring.pixels_of(images)}
    assert len(trained) == 40
    assert not held & trained
    assert float(tuned.measure.std()) < 0.7 * float(plain.measure.std())


def test_more_subnets_go_on_with_a_study(copy: Path) -> None:
    before = len(Scores(copy.with_suffix("") / "scores.jsonl").known)
    copy.write_text(copy.read_text().replace("subnets = 8", "subnets = 10"))
    nas(read_space(copy), jobs=1)
    assert front_at(copy).scored == {"nsga2": 10, "random": 10}
    assert len(Scores(copy.with_suffix("") / "scores.jsonl").known) > before


def test_scores_of_another_network_are_not_taken(copy: Path, searched: Path) -> None:
    """Where the whole network, or hwnorm, is another than that of the scores: they are made anew."""
    folder = copy.with_suffix("")
    stored = json.loads((folder / "space.json").read_text())
    stored["made_from"]["base"] = "0" * 16
    (folder / "space.json").write_text(json.dumps(stored))
    lines = (folder / "scores.jsonl").read_text().splitlines()
    wrong = [re.sub(r'"loss": [0-9.e-]+', '"loss": 1e-6', line) for line in lines]
    (folder / "scores.jsonl").write_text("".join(f"{line}\n" for line in wrong))
    status, said = command("nas", copy, "--jobs", "1")
    assert status == 0, said
    assert front_at(copy) == front_at(searched)


def test_other_settings_are_not_mixed_in(copy: Path) -> None:
    copy.write_text(copy.read_text().replace("held = 20", "held = 25"))
    status, said = command("nas", copy)
    assert status == 2
    assert "search.held: 25; the study was begun with 20" in said


def test_pareto_shows_the_front(searched: Path) -> None:
    status, said = command("pareto", searched)
    assert status == 0, said
    front = front_at(searched)
    for point in front.points:
        assert f"{point.cycles:,}" in said
    status, said = command("pareto", searched, "--fps", "1e9")
    assert status == 2
    assert "option --fps: 1e+09; the fastest point of space makes" in said
    status, said = command("pareto", searched, "--max-lut", "3")
    assert status == 2
    assert "option --max-lut: is of studies" in said


def test_a_point_is_a_run_folder_with_an_engine(searched: Path, tmp_path: Path) -> None:
    """Its logits and cycles are those of its Verilog; its subnet is a model of its own."""
    out = tmp_path / "point"
    status, said = command("pareto", searched, "--pick", "1", "--emit", out)
    assert status == 0, said
    point = front_at(searched).points[0]
    assert json.loads((out / "engine.json").read_text())["picked"]["cycles"] == point.cycles
    status, said = command("cosim", out, "--images", "2")
    assert status == 0, said
    told = json.loads((out / "cosim.json").read_text())
    assert (told["logits_equal"], told["cycles_equal"]) == (2, 2)
    assert told["predicted"][1] == point.cycles
    status, said = command("pareto", searched, "--pick", "1", "--emit", out)
    assert status == 2
    assert "is not an empty folder" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((("width = [72, 96]", "width = []"),), "space.width: []"),
        ((("width = [72, 96]\n", ""),), "space.width: not there"),
        ((("width = [72, 96]", "width = [72, 128]"),), "space.width: 128; the network has 96"),
        ((("heads = [2, 3]", "heads = [3, 5]"),), "space.heads: 5; the network has 3"),
        ((("depth = [5, 6]", "depth = [5, 9]"),), "space.depth: 9; the network has 6"),
        ((("mlp = [1, 3]", "mlp = [1, 0.33]"),), "space.mlp: 0.33 times a width of 72 is 23.76 units"),
        ((("mlp = [1, 3]", "mlp = [1, 4]"),), "space.mlp: 4 times a width of 96 is 384 units"),
        ((("[0.0, 0.5]", "[0.0, 1.5]"),), "space.ratio8: [0.0, 1.5]: shares from 0 to 1"),
        ((("images = 40", "images = 90"),), "run.images: 90, and search.held 20 others; there are 100"),
        ((("fit = 30", "fit = 41"),), "search.fit: 41; run.images is 40"),
        ((('"dsp=40"', '"dsp=0"'),), "engine.budget: 'dsp=0'"),
        ((('"nsga2", "random"', '"tpe"'),), "search.methods: 'tpe'"),
        ((("images = 40", "imagse = 40"),), "run.imagse: no setting of a run; closest: images"),
        ((("[search]", "[serach]"),), "serach: not known; there are space, search, engine, train, run"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path,
    write_space: Callable[..., Path],
    changes: tuple[tuple[str, str], ...],
    said: str,
) -> None:
    """Before anything is run, and nothing is written."""
    path = write_space(tmp_path, *changes)
    status, found = command("nas", path, "--jobs", "1")
    assert status == 2, found
    assert not path.with_suffix("").exists()
    assert said in found
    assert "Traceback" not in found


def test_a_rate_that_no_subnet_reaches(copy: Path) -> None:
    """One line, and no front."""
    folder = copy.with_suffix("")
    text = copy.read_text().replace('"dsp=40"', '"dsp=40"\nfps = 1e9')
    for name in ("space.json", "scores.jsonl", "front.json"):
        (folder / name).unlink()
    copy.write_text(text)
    StoredSpace(file=read_space(copy).file.model_dump(mode="json")).write(folder / "space.json", 0, {})
    status, said = command("nas", copy, "--jobs", "1")
    assert status == 2
    assert "subnets has an engine of dsp=40 that makes 1e+09 images a second" in said
    assert not (folder / "front.json").exists()


def test_a_preset_that_is_none(tmp_path: Path, write_space: Callable[..., Path]) -> None:
    path = write_space(tmp_path, ("[space]", '[space]\npreset = "vit"'))
    status, said = command("nas", path)
    assert status == 2
    assert "space.preset: 'vit'; there are builtin, quasar-small" in said


def test_the_page_shows_a_file_that_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "nas.md").read_text(encoding="utf-8")
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    (tmp_path / "space.toml").write_text(block[1])
    study = read_space(tmp_path / "space.toml")
    assert study.axes["mlp"] == [0.5, 1.0, 2.0, 3.0]
    assert study.axes["width"] == [72, 84, 96]
    assert study.cycles == 100_000


TRAINING = "[train]\nepochs = 2\nbatch = 20\nrandom = 0\n\n[engine]"


def test_a_trained_supernet_is_searched_as_it_is(copy: Path, searched: Path) -> None:
    """Its subnets are not fitted; what was scored before is scored anew; a point of it is emitted exactly."""
    copy.write_text(copy.read_text().replace("[engine]", TRAINING))
    status, said = command("supernet", "train", copy)
    assert status == 0, said
    assert "epoch 2: largest loss" in said
    folder = copy.with_suffix("") / "trained"
    assert sorted(path.name for path in folder.iterdir()) == [
        "subnet.json",
        "subnet.safetensors",
        "supernet.json",
        "supernet.safetensors",
    ]
    status, said = command("nas", copy, "--jobs", "1")
    assert status == 0, said
    assert "scores and points are of another network or hwnorm; they are made anew" in said
    assert front_at(copy) != front_at(searched)
    found = context(copy)
    smallest = found.space.smallest
    assert found.supernet.trained
    view, fitted = found.supernet.view(smallest), found.fitting(smallest).graph
    for a, b in zip(view.linears, fitted.linears, strict=True):
        # Rounded to codes, the row's scale of its own: nothing else has moved it.
        assert float((a.weight - b.weight).norm() / a.weight.norm()) < 0.25
    out = copy.parent / "point"
    status, said = command("pareto", copy, "--pick", "1", "--emit", out)
    assert status == 0, said
    subnet = json.loads((out / "subnet.json").read_text())
    assert (subnet["model"], subnet["arguments"]) == ("builtin", {})
    status, said = command("cosim", out, "--images", "1")
    assert status == 0, said
    status, said = command("supernet", "train", copy)
    assert status == 0
    assert "is trained; remove the folder to train it again" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((("[engine]", "[train]\nepochs = 0\n\n[engine]"),), "train.epochs: 0; input should be greater"),
        ((("[engine]", "[train]\nepoch = 1\n\n[engine]"),), "train.epoch: not known; there are epochs"),
        ((("[space]", '[space]\nsupernet = "s"'),), "space.supernet: 's' has no supernet.json"),
    ],
)
def test_what_is_wrong_with_training_is_said_in_one_line(
    tmp_path: Path, write_space: Callable[..., Path], changes: tuple[tuple[str, str], ...], said: str
) -> None:
    path = write_space(tmp_path, *changes)
    status, found = command("supernet", "train", path)
    assert status == 2, found
    assert said in found
    assert not path.with_suffix("").exists()


def test_all_of_the_network_is_trained(copy: Path) -> None:
    folder = copy.with_suffix("")
    text = copy.read_text().replace("heads = [2, 3]", "heads = [2]")
    copy.write_text(text)
    StoredSpace(file=read_space(copy).file.model_dump(mode="json")).write(folder / "space.json", 0, {})
    (folder / "ordering.safetensors").unlink()
    status, said = command("supernet", "train", copy)
    assert status == 2
    assert "to train, it must be all of the network: 96: 3h288u50%" in said
    assert not (folder / "trained").exists()


def test_the_front_is_a_table_and_a_page(copy: Path, tmp_path: Path) -> None:
    """The same figures in each."""
    csv_file, parquet = tmp_path / "front.csv", tmp_path / "front.parquet"
    status, said = command("pareto", copy, "--csv", csv_file, "--parquet", parquet)
    assert status == 0, said
    with csv_file.open() as file:
        rows = list(csv.DictReader(file))
    front = front_at(copy)
    points = [*front.points, front.whole]
    assert [int(row["point"]) for row in rows] == [*range(1, len(points)), 0]
    assert sum(row["knee"] == "True" for row in rows) == 1
    for row, point, stored in zip(rows, points, pq.read_table(parquet).to_pylist(), strict=True):
        assert int(row["cycles"]) == stored["cycles"] == point.cycles
        assert point.top1 is not None
        assert float(row["top1"]) == stored["top1"] == point.top1.percent
        assert stored["lut"] == point.resources.lut
        assert stored["subnet"] == str(point.subnet.subnet())
    status, said = command("report", copy)
    assert status == 0, said
    page = (copy.with_suffix("") / "report.html").read_text()
    for point in points:
        assert f">{point.cycles}<" in page
        assert str(point.subnet.subnet()) in page
    assert "Subnets are fitted in closed form." in page
    assert page.count("data:image/png") == 2
    assert len(page) < 3_000_000


def test_a_page_of_no_front(copy: Path) -> None:
    (copy.with_suffix("") / "front.json").unlink()
    status, said = command("report", copy)
    assert status == 2
    assert "front.json: not there; run `hwnorm nas" in said
    assert not (copy.with_suffix("") / "report.html").exists()


SHIPPED = ("[space]", '[space]\nsupernet = "builtin"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("mlp = [1, 3]", "mlp = [1, 2.5]"), "space.mlp: 2.5; the supernet of"),
        (('data = "', 'model = "vit_tiny_patch16_224"\ndata = "'), "run.model: 'vit_tiny_patch16_224'; the"),
    ],
)
def test_a_supernet_is_searched_for_what_it_was_trained_for(
    tmp_path: Path, write_space: Callable[..., Path], change: tuple[str, str], said: str
) -> None:
    """Other sizes and other models are refused in one line."""
    path = write_space(tmp_path, SHIPPED, change)
    status, found = command("nas", path)
    assert status == 2, found
    assert said in found
    assert not path.with_suffix("").exists()


def test_the_shipped_supernet_is_searched(tmp_path: Path, write_space: Callable[..., Path]) -> None:
    """Nothing is trained, and no function is searched for; it is small."""
    path = write_space(tmp_path, SHIPPED, ('"nsga2", "random"', '"uniform"'))
    status, said = command("nas", path, "--jobs", "1")
    assert status == 0, said
    front = front_at(path)
    assert front.trained
    assert front.whole.top1 is not None
    assert front.whole.top1.percent > 80  # of 60 images, where chance has 10
    assert sum(file.stat().st_size for file in builtin.SUPERNET.iterdir()) <= 2_500_000
