"""The choice for the network: what half the area loses, and how well losses are predicted.

On a run folder whose layers are searched (``hwnorm run``, or ``capture`` and ``search``):

1. the function of best bit-true R2 for every layer, against the choice at half of that area: both networks
   re-aligned as ``hwnorm realign`` does, with the integers of the hardware, top-1 on the test images;
2. random choices, a candidate a layer: rank correlation of the predicted loss, the sum of what single
   functions lose to first order, with that measured on the whole network, on other images.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from scipy.stats import spearmanr
from torch import nn

from hwnorm.choose import knapsack
from hwnorm.choose.network import Calibration, NetworkLoss
from hwnorm.choose.offers import area_of, build
from hwnorm.choose.survey import Survey, module
from hwnorm.data.images import ImageSet, load_images
from hwnorm.data.mirrored import MirroredImages
from hwnorm.network.evaluate import top1
from hwnorm.realign.closed_form import realign
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICES, FRONT, PROFILE
from hwnorm.runs.settings import target_of
from hwnorm.stages.choose import choose


def random_choices(found: Survey, network: NetworkLoss, count: int, seed: int) -> None:
    """Print predicted and measured losses, and their rank correlation."""
    rng = random.Random(seed)
    predicted, measured = [], []
    for _ in range(count):
        picks = [rng.randrange(len(offers)) for offers in found.offers.values()]
        selection = knapsack.total(found.areas, found.losses, picks)
        predicted.append(found.loss(selection))
        measured.append(network.measure(found.functions(picks), network.images.measure).loss)
        figures = f"area {selection.area:5g}, predicted {predicted[-1]:.4f}, measured {measured[-1]:.4f}"
        print(f"  random choice: {figures}", flush=True)
    found_rank = spearmanr(predicted, measured).statistic
    print(f"rank correlation over {count} random choices: {found_rank:.3f}", flush=True)


def half_the_area(
    run: RunFolder, inputs: Inputs, found: Survey, network: NetworkLoss, tests: ImageSet
) -> None:
    """Print the accuracies of both networks."""
    target = target_of(run.settings)
    best: dict[str, nn.Module] = {}
    area = 0.0
    for layer in found.offers:
        front = run.read(FRONT, layer)
        point = max(front.points, key=lambda p: p.r2_bit_true)
        profile = run.read(PROFILE, layer).statistics
        offer = build(point.expression, "", front, profile, target, run.settings.clock_mhz)
        assert offer is not None  # it was built for the front
        area += area_of(offer.resources, target)
        best[layer] = module(offer)
    half = knapsack.select(found.areas, found.losses, most_area=area / 2)
    assert half is not None  # folding everything takes no area
    images = MirroredImages(inputs.training_images)
    percent = []
    for name, size, functions in (
        ("best R2 everywhere", area, best),
        ("choice at half of it", half.area, found.functions(half.picks)),
    ):
        loss = network.measure(functions, network.images.measure).loss
        student, _ = realign(inputs.model, functions, images)
        accuracy = top1(student, tests)
        percent.append(accuracy.percent)
        print(f"{name}: {size:g} LUT, loss {loss:.4f}, re-aligned and bit-true {accuracy}", flush=True)
    gain = percent[1] - percent[0]
    print(f"the choice at half the area: {gain:+.2f} points; LayerNorm {top1(inputs.model, tests)}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder, searched")
    parser.add_argument("--data", type=Path, help="folder with all test images; else those of the run")
    parser.add_argument("--only", choices=("half", "random"), help="one of the two")
    parser.add_argument("--random", type=int, default=20, help="random choices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    run = RunFolder.open(args.run)
    inputs = Inputs(run.settings)
    began, cpu = time.perf_counter(), time.process_time()
    choose(run, inputs, args.jobs)
    took = f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU in this process"
    print(f"choose: {took}", flush=True)
    found = run.read(CHOICES).survey
    images = Calibration.of(inputs.model, inputs.training_images)
    network = NetworkLoss(inputs.model, images, list(found.offers))
    if args.only != "half":
        random_choices(found, network, args.random, args.seed)
    if args.only != "random":
        tests = inputs.test_images if args.data is None else load_images(args.data, "test", inputs.model)
        half_the_area(run, inputs, found, network, tests)


if __name__ == "__main__":
    main()
