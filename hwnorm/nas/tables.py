"""A study's front for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from hwnorm.errors import InputError
from hwnorm.nas.spacefile import NasStudy
from hwnorm.nas.stored import NasFront, NasPoint
from hwnorm.progress import out
from hwnorm.search.front import knee
from hwnorm.stages.tables import print_wide


def within(study: NasStudy, front: NasFront, fps: float | None) -> list[int]:
    """The numbers of the points, from 1, that make so many images a second.

    Raises:
        InputError: none does.
    """
    found = [i for i, p in enumerate(front.points, 1) if fps is None or p.images_per_second >= fps]
    if not found:
        most = max(point.images_per_second for point in front.points)
        raise InputError(
            f"option --fps: {fps:g}; the fastest point of {study.name} makes {most:.0f} images a second"
        )
    return found


def knee_of(front: NasFront, numbers: Sequence[int]) -> int:
    """The knee of some points of a front, of loss against cycles, by its number."""
    points = [front.points[number - 1] for number in numbers]
    return numbers[knee([(point.cycles, point.loss) for point in points])]


#: The columns of :func:`front_rows`.
COLUMNS: dict[str, type] = {
    "point": int,
    "knee": bool,
    "top1": float,
    "top1_low": float,
    "top1_high": float,
    "lost": float,
    "lost_low": float,
    "lost_high": float,
    "cosine": float,
    "loss": float,
    "score": float,
    "cycles": int,
    "images_per_second": float,
    "lut": int,
    "ff": int,
    "dsp": int,
    "bram": int,
    "parameters": int,
    "weight_bits": int,
    "products": int,
    "subnet": str,
}


def front_rows(front: NasFront, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Some points as rows of a table; the whole network is point 0, the last."""
    picked = knee_of(front, numbers)
    found = []
    for number in [*numbers, 0]:
        point = front.points[number - 1] if number else front.whole
        row: dict[str, Any] = {"point": number, "knee": number == picked}
        if point.top1 is not None:
            (row["top1_low"], row["top1_high"]), row["top1"] = point.top1.interval, point.top1.percent
            (row["lost_low"], row["lost_high"]), row["lost"] = point.top1.lost_interval, point.top1.lost
        if point.resources is not None:
            row |= {name: getattr(point.resources, name) for name in ("lut", "ff", "bram")}
        row |= {name: getattr(point.score, name) for name in ("products", "weight_bits")}
        row |= {"dsp": point.dsps, "score": point.score.loss, "subnet": str(point.subnet.subnet())}
        row |= {
            name: getattr(point, name)
            for name in ("cycles", "cosine", "loss", "images_per_second", "parameters")
        }
        found.append(row)
    return found


def print_front(study: NasStudy, front: NasFront, fps: float | None) -> None:
    """The points of a front, what they are held against, and how they were found."""
    shown = within(study, front, fps)
    print_wide(_table(front, shown))
    searched = ", ".join(f"{method} {count} subnets" for method, count in front.scored.items())
    volumes = ", ".join(f"{method} {share:.4f}" for method, share in front.hypervolume.items())
    how = "of a trained supernet" if front.trained else "fitted in closed form"
    lines = [
        f"{study.name}: {how}: {searched}; {front.front} on the front, {len(front.points)} of them built",
        f"hypervolume of (loss, cycles), of the box up to the whole network's cycles: {volumes}",
        f"loss: nats or variance, {front.measured_on} training images that nothing was fitted to; "
        f"top-1: {front.test_images_from}; lost: points against the whole network with 8 bits, paired, 95 %",
        f"engine: {front.target}, {front.budget}, {front.clock_mhz:g} MHz; cycles are predicted, and exact; "
        "the clock is an assumption until it is placed and routed",
    ]
    for line in lines:
        out.print(line, soft_wrap=True)


def _table(front: NasFront, shown: Sequence[int]) -> Table:
    table = Table(title="top-1 of the integers against cycles", header_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("point", "top-1", "lost", "loss", "cycles", "of whole", "images/s", "LUT", "DSP", "BRAM"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("parameters", "Mbit"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("width: heads, units, 8-bit rows of each block", no_wrap=True)
    picked = knee_of(front, shown)
    for number in shown:
        name = f"{number} knee" if number == picked else str(number)
        table.add_row(name, *_cells(front.points[number - 1], front.whole))
    table.add_row("whole", *_cells(front.whole, front.whole))
    return table


def _cells(point: NasPoint, whole: NasPoint) -> list[str]:
    top1, taken = point.top1, point.resources
    lost = (
        ""
        if top1 is None or point is whole
        else "{:+.2f} ({:+.2f} to {:+.2f})".format(top1.lost, *top1.lost_interval)
    )
    return [
        f"cosine {point.cosine:.4f}" if top1 is None else f"{top1.percent:.2f} %",
        lost,
        f"{point.loss:.4f}",
        f"{point.cycles:,}",
        f"{100 * point.cycles / whole.cycles:.1f} %",
        f"{point.images_per_second:,.0f}",
        "-" if taken is None else f"{taken.lut:,}",
        str(point.dsps if taken is None else taken.dsp),
        "-" if taken is None else str(taken.bram),
        f"{point.parameters / 1e6:.2f} M",
        f"{point.score.weight_bits / 1e6:.2f}",
        str(point.subnet.subnet()),
    ]
