"""The choice for the network: what half the area loses, and how well losses are predicted.

On a run folder whose layers are searched (``hwnorm run``, or ``capture`` and ``search``):

1. the function of best bit-true R2 for every layer, against the choice at half of that area: both networks
   re-aligned as ``hwnorm realign`` does, with the integers of the hardware, top-1 on the test images;
2. random choices, a candidate a layer: rank correlation of the predicted loss, the sum of what single
   exchanges lose, with that measured on the whole network.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from scipy.stats import spearmanr
from torch import nn

from hwnorm.choose import knapsack
from hwnorm.choose.network import NetworkLoss, calibration
from hwnorm.choose.offers import area_of, build
from hwnorm.choose.stage import choose, read_survey
from hwnorm.data.images import load_images
from hwnorm.data.varied import VariedImages
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.evaluate import top1
from hwnorm.files import read_artefact
from hwnorm.profile import read_profile
from hwnorm.realign.closed_form import realign
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs
from hwnorm.search.layer import Front
from hwnorm.targets.target import load_target


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder, searched")
    parser.add_argument("--data", type=Path, help="folder with all test images; else those of the run")
    parser.add_argument("--random", type=int, default=20, help="random choices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    run = RunFolder.open(args.run)
    inputs = Inputs(run.settings)
    began, cpu = time.perf_counter(), time.process_time()
    choose(run, inputs, args.jobs)
    took = f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU in this process"
    print(f"choose: {took}")
    found = read_survey(read_artefact(run.choices, "choices"))

    pixels = calibration(inputs.model, inputs.training_images)
    network = NetworkLoss(inputs.model, pixels, list(found.offers), run.settings.ridge)
    rng = random.Random(args.seed)
    predicted, measured = [], []
    for _ in range(args.random):
        picks = [rng.randrange(len(offers)) for offers in found.offers.values()]
        selection = knapsack.total(found.areas, found.losses, picks)
        predicted.append(found.loss(selection))
        measured.append(network.measure(found.functions(picks)).loss)
        figures = f"area {selection.area:5g}, predicted {predicted[-1]:.4f}, measured {measured[-1]:.4f}"
        print(f"  random choice: {figures}")
    print(
        f"rank correlation over {args.random} random choices: {spearmanr(predicted, measured).statistic:.3f}"
    )

    target = load_target(run.settings.target)
    best: dict[str, nn.Module] = {}
    area = 0.0
    for layer in found.offers:
        front = Front.from_json(read_artefact(run.front(layer), "front"))
        point = max(front.points, key=lambda p: p.r2_bit_true)
        profile = read_profile(run.profile(layer))
        offer = build(point.expression, "", front, profile, target, run.settings.clock_mhz)
        assert offer is not None
        assert offer.datapath is not None
        area += area_of(offer.resources, target)
        best[layer] = FixedPointFunction(offer.datapath)
    half = knapsack.select(found.areas, found.losses, most_area=area / 2)
    assert half is not None
    tests = inputs.test_images if args.data is None else load_images(args.data, "test", inputs.model)
    images = VariedImages(inputs.training_images)
    accuracy = {}
    for name, size, functions in (
        ("best R2 everywhere", area, best),
        ("choice at half of it", half.area, found.functions(half.picks)),
    ):
        loss = network.measure(functions).loss
        student = realign(inputs.model, functions, images, ridge=run.settings.ridge)
        accuracy[name] = top1(student, tests)
        print(f"{name}: {size:g} LUT, loss {loss:.4f}, re-aligned and bit-true {accuracy[name]}")
    gain = accuracy["choice at half of it"].percent - accuracy["best R2 everywhere"].percent
    print(f"the choice at half the area: {gain:+.2f} points; LayerNorm {top1(inputs.model, tests)}")


if __name__ == "__main__":
    main()
