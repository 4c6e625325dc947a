"""Seconds and memory of capture beside those of the bare forward pass, on the same images."""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from hwnorm.builtin import model as builtin
from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms


def _times(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@torch.no_grad()
def forward(model: nn.Module, images: ImageSet, batch: int) -> None:
    """The bare forward pass."""
    for pixels, _ in images.batches(batch):
        model(pixels)


def main() -> None:
    """Print medians over alternating repetitions: of both, and of each pair's own ratio with its quartiles.

    A pair shares what else the machine does at the time, so its ratio scatters less than the seconds do.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=15)
    args = parser.parse_args()
    model = load_model(args.model, args.weights, args.image_size)
    images = load_images(args.data, "train", model).limited(args.images)
    sites = find_norms(model)
    forward(model, images.limited(args.batch), args.batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bare, watched = [], []
    for _ in range(args.repeat):
        bare.append(_times(lambda: forward(model, images, args.batch)))
        watched.append(_times(lambda: capture(model, images, sites, batch=args.batch)))
    profiles = capture(model, images.limited(args.batch), sites, batch=args.batch)
    held = max(
        sum(getattr(p, name).nbytes for name in ("edges", "count", "sum_x", "sum_y", "sum_yy"))
        for p in profiles.values()
    )
    for label, which in (("wall", 0), ("CPU", 1)):
        plain, with_hooks = ([t[which] for t in times] for times in (bare, watched))
        ratios = [b / a for a, b in zip(plain, with_hooks, strict=True)]
        low, middle, high = statistics.quantiles(ratios)
        forward_s, capture_s = map(statistics.median, (plain, with_hooks))
        print(
            f"{label}: forward {forward_s:.2f} s, capture {capture_s:.2f} s; "
            f"{middle:.2f} times ({low:.2f} to {high:.2f})"
        )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{len(sites)} layers with bins of {held / 1024:.0f} KiB; peak memory grew by {grown / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()
