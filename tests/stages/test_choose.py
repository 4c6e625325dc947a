"""The stage chooses by the network's loss, under a budget, and measures only what it must."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from run_folders import profile_artefact, put
from torch import nn

import hwnorm.choose.network
import hwnorm.stages.choose
from hwnorm.builtin import model as builtin
from hwnorm.capture.hooks import capture
from hwnorm.choose.consumers import Line, as_profile
from hwnorm.choose.network import NetworkLoss
from hwnorm.choose.offers import NOTHING, SHARPER, area_of, build, shapes
from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import read_artefact
from hwnorm.network.choice import read_choice
from hwnorm.network.fold import line_of
from hwnorm.network.norms import find_norms
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE, CHOICES, FRONT, PROFILE
from hwnorm.runs.settings import RunSettings
from hwnorm.search.layer import Front
from hwnorm.search.price import Limits
from hwnorm.stages.choose import choose
from hwnorm.targets.target import load_target

POINTS = (("0.5*x", 0.8, 10), ("1.5*clip(0.5*x, 1)", 0.9, 20), ("1.5*tanh(0.5*x)", 0.92, 30))


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A searched run of a small network, chosen for without a budget: its folder and its inputs."""
    from hwnorm.timm_compat import import_timm

    patch = pytest.MonkeyPatch()
    patch.setattr(hwnorm.choose.network, "TOKENS", 17 * 16)
    patch.setattr(hwnorm.stages.choose, "CHECKED", 3)
    torch.manual_seed(0)  # its weights, whatever ran before
    model: nn.Module = (
        import_timm()
        .create_model(
            "vit_tiny_patch16_224",
            img_size=28,
            patch_size=7,
            in_chans=1,
            num_classes=10,
            embed_dim=32,
            depth=1,
            num_heads=2,
            global_pool="avg",  # a class token of random weights is next to nothing
        )
        .eval()
    )
    images = load_images(None, "train", builtin.build()).limited(16)
    run = RunFolder.create(tmp_path_factory.mktemp("choose") / "r", RunSettings(input_bits=10), force=False)
    run.start()
    sites = find_norms(model)
    sites = [site for site in sites if site.consumers]
    for position, (layer, profile) in enumerate(capture(model, images, sites).items()):
        put(run, PROFILE, profile_artefact(profile, layer, position), layer)
        points = [
            {
                "expression": text,
                "family": "evolved",
                "r2": r2,
                "r2_bit_true": r2,
                "tail": 0.0,
                "error": 1 - r2,
                "lut": lut,
            }
            | {"ff": 8, "dsp": 0, "latency": 1, "max_error_ulp": 0.5, "cost": lut + 5.0}
            for text, r2, lut in POINTS
        ]
        body = {"input": "s10f7", "output": "s8f5", "target": "xcup", "ceiling_r2": profile.ceiling_r2}
        head = {"position": position, "layer": layer, "hypervolume": [1.0], "points": points}
        put(run, FRONT, Front.model_validate(head | body), layer)
    inputs = SimpleNamespace(model=model, training_images=images, digest=lambda need: need)
    choose(run, inputs, 1)  # type: ignore[arg-type]
    yield run, inputs
    patch.undo()


def again(chosen: Any, **budget: float) -> dict[str, Any]:
    run, inputs = chosen
    other = RunFolder(run.path, RunSettings(input_bits=10, **budget))
    choose(other, inputs, 1)
    return read_artefact(run.at(CHOICE), "choice")


def test_every_layer_offers_a_fold_and_steeper_functions(chosen):
    """The first of each layer is affine and free; others are points of the front or steeper, no two alike."""
    run, _ = chosen
    for layer in read_artefact(run.at(CHOICES), "choices")["layers"]:
        fold, *built = layer["offers"]
        assert fold["datapath"] is None
        assert fold["area"] == 0.0
        assert line_of(parse(fold["expression"])) is not None
        assert 1 <= len(built) <= 4
        assert all(offer["datapath"] is not None and offer["area"] > 0 for offer in built)
    layer = read_artefact(run.at(CHOICES), "choices")["layers"][0]["layer"]
    front = run.read(FRONT, layer)
    found = shapes(front, run.read(PROFILE, layer).statistics, None, load_target("xcup"), 250.0)
    assert len({str(shape.expression) for shape in found}) == len(found) > 3
    assert len(found) < len(POINTS) * len(SHARPER)


def test_a_table_for_the_consumers_is_offered(chosen):
    """It is the cheapest that follows what they want, here |x|, which nothing of the front does."""
    run, _ = chosen
    layer = read_artefact(run.at(CHOICES), "choices")["layers"][0]["layer"]
    front = run.read(FRONT, layer)
    profile = run.read(PROFILE, layer).statistics
    end = float(np.abs(profile.x).max())
    wanted = as_profile(Line(end, torch.linspace(-end, end, 65).double().abs()), profile)
    plain = shapes(front, profile, None, load_target("xcup"), 250.0)
    found = shapes(front, profile, wanted, load_target("xcup"), 250.0)
    assert line_of(found[0].expression) is not None
    assert [shape.area for shape in found] == sorted(shape.area for shape in found)
    (added,) = [shape for shape in found if shape not in plain]
    assert added.family == "table"
    assert wanted.r2(added.expression.numpy(profile.x)) > 0.99


def test_predicted_stands_next_to_measured(chosen):
    """The front runs from folding everything to the least loss; its ends are measured, and the choice is."""
    run, _ = chosen
    data = read_artefact(run.at(CHOICES), "choices")
    assert (data["images"], data["measured_images"]) == (8, 8)
    front = data["front"]
    assert front[0]["area"] == 0.0
    assert [p["area"] for p in front] == sorted(p["area"] for p in front)
    assert [p["predicted_loss"] for p in front] == sorted((p["predicted_loss"] for p in front), reverse=True)
    for end in (front[0], front[-1]):
        assert end["measured_loss"] > 0
        assert 0 <= end["agreement"] <= 100
    choice = again(chosen)
    assert choice["measured_loss"] > 0
    least = front[-1]["predicted_loss"]
    assert least <= choice["predicted_loss"] <= 1.1 * least + 1e-12
    assert choice["area"] == sum(
        area_of(c.resources, load_target("xcup")) for c in read_choice(run.at(CHOICE))
    )


def test_a_budget_is_kept_and_nothing_is_measured_twice(chosen, monkeypatch):
    """No LUT: all layers fold. A loss: the smallest that keeps it. The losses are not measured again."""
    run, _ = chosen
    monkeypatch.setattr(hwnorm.stages.choose, "survey", None)
    before = run.at(CHOICES).read_bytes()
    assert again(chosen, total_area=0)["area"] == 0.0
    assert all(c.folded for c in read_choice(run.at(CHOICE)))
    front = json.loads(before)["front"]
    half = front[-1]["area"] / 2
    choice = again(chosen, total_area=half)
    best = max((p for p in front if p["area"] <= half), key=lambda p: p["area"])
    assert (choice["area"], choice["predicted_loss"]) == (best["area"], pytest.approx(best["predicted_loss"]))
    assert choice["budget"]["total_area"] == half
    reverse = again(chosen, max_loss=best["predicted_loss"] + 1e-9)
    assert reverse["area"] <= best["area"]
    assert reverse["predicted_loss"] <= best["predicted_loss"] + 1e-9
    assert run.at(CHOICES).read_bytes() == before


def test_the_limits_of_a_kernel_hold_for_steeper_functions(chosen):
    """A function that takes more than a kernel may is no offer, whichever stage thinks of it."""
    run, _ = chosen
    layer = read_artefact(run.at(CHOICES), "choices")["layers"][0]
    front = run.read(FRONT, layer["layer"])
    profile, target = run.read(PROFILE, layer["layer"]).statistics, load_target("xcup")
    offer = next(o for o in layer["offers"] if o["datapath"] is not None)
    order = offer["expression"], offer["family"], front, profile, target, 250.0
    lut = offer["resources"]["lut"]
    assert build(*order, Limits(lut=lut)) is not None
    assert build(*order, Limits(lut=lut - 1)) is None


def test_weights_of_the_cost_change_what_a_dsp_block_is_worth():
    """An area counts DSP blocks as the LUTs of the weights; free LUTs are no price for one."""
    used = replace(NOTHING, lut=10, dsp=2)
    assert area_of(used, load_target("xcup", "lut=1,dsp=50")) == 110.0
    assert area_of(used, load_target("xcup", "lut=2,dsp=50")) == 60.0
    assert area_of(used, load_target("xcup", "lut=0,dsp=50")) == 10.0


def test_a_budget_that_nothing_keeps_is_told(chosen):
    """The option, what was asked for and what there is; the choice stays."""
    run, _ = chosen
    again(chosen)
    before = run.at(CHOICE).read_bytes()
    with pytest.raises(InputError, match=r"option --max-loss: 1e-12; the least .* is [0-9.]+") as caught:
        again(chosen, max_loss=1e-12)
    assert "\n" not in str(caught.value)
    assert run.at(CHOICE).read_bytes() == before


def test_the_same_again_byte_for_byte(chosen, tmp_path):
    """Another folder of the same fronts, with two processes: the same losses, and the same choice."""
    run, inputs = chosen
    again(chosen)
    other = RunFolder.create(tmp_path / "r", RunSettings(input_bits=10), force=False)
    other.start()
    for folder in ("profiles", "fronts"):
        for path in sorted(Path(run.path / folder).iterdir()):
            target = other.path / folder / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    choose(other, inputs, 2)
    for name in ("choices.json", "choice.json"):
        assert (other.path / name).read_bytes() == (run.path / name).read_bytes(), name


@pytest.mark.parametrize("case", ["two threads", "disturbed", "float32 disturbed"])
def test_other_last_digits_are_the_same_choice(chosen, tmp_path, monkeypatch, case):
    """Threads, and a millionth of every loss and activation, change no function, format or area."""
    run, inputs = chosen
    again(chosen)
    noise = random.Random(1)
    threads = torch.get_num_threads()

    def disturbed(value: Any) -> Any:
        return value * (1 + 1e-6 * noise.uniform(-1, 1))

    if case == "disturbed":
        losses, measure = NetworkLoss.loss_of, NetworkLoss.measure
        monkeypatch.setattr(
            NetworkLoss,
            "loss_of",
            lambda self, moves: torch.stack([disturbed(v) for v in losses(self, moves)]),
        )
        monkeypatch.setattr(
            NetworkLoss,
            "measure",
            lambda self, *args: replace(found := measure(self, *args), loss=disturbed(found.loss)),
        )
    elif case == "float32 disturbed":
        forward = nn.Linear.forward
        monkeypatch.setattr(
            nn.Linear,
            "forward",
            lambda self, x: (
                forward(self, x) * (1 + (1e-6 if x.dtype == torch.float32 else 1e-15) * noise.uniform(-1, 1))
            ),
        )
    other = RunFolder.create(tmp_path / "r", RunSettings(input_bits=10), force=False)
    other.start()
    for folder in ("profiles", "fronts"):
        shutil.copytree(run.path / folder, other.path / folder, dirs_exist_ok=True)
    torch.set_num_threads(2 if case == "two threads" else threads)
    try:
        choose(other, inputs, 1)
    finally:
        torch.set_num_threads(threads)
    same, found = (read_artefact(of.at(CHOICE), "choice") for of in (run, other))
    assert found["layers"] == same["layers"]
    same, found = (read_artefact(of.at(CHOICES), "choices") for of in (run, other))
    assert found["layers"] == same["layers"]
    assert [p["picks"] for p in found["front"]] == [p["picks"] for p in same["front"]]
