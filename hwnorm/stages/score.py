"""The figures of a formula of the user's own, beside a layer's front."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.lowering.lower import lower
from hwnorm.rounding import ulp_text
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import FRONT, PROFILE
from hwnorm.runs.settings import target_of
from hwnorm.search.canonical import canonical
from hwnorm.search.fitness import Candidate, Judge
from hwnorm.search.formats import input_format, output_format
from hwnorm.search.front import Point
from hwnorm.search.layer import measure
from hwnorm.stages.search import layer_settings

#: Families of a scored formula: as it was given, and with all its constants fitted to the layer.
GIVEN, FITTED = "as given", "constants fitted"


@dataclass(frozen=True)
class Score:
    """A formula's figures as given and, where it could be fitted, with its constants fitted."""

    layer: str
    ceiling_r2: float
    points: tuple[Point, ...]
    #: The layer's front, cheapest first; empty where the layer is not searched yet.
    front: tuple[Point, ...]

    def better(self) -> list[Point]:
        """Of the front, what is no worse than the formula as given in error and cost."""
        given = self.points[0]
        return [p for p in self.front if p.error <= given.error and p.cost <= given.cost]


def score(run: RunFolder, layer: str, text: str) -> Score:
    """Lower a formula for a layer of a run and measure it, as the search does its own.

    Raises:
        InputError: the layer is unknown, or the formula cannot be read, built, or computed for all codes.
    """
    layers = run.layers(PROFILE)
    if layer not in layers:
        raise InputError(f"option --layer: {layer!r} is none of the run's; there are {', '.join(layers)}")
    expression = parse(text)
    profile = run.read(PROFILE, layer).statistics
    settings = layer_settings(run.settings, layer)
    target = target_of(run.settings)
    formats = input_format(profile, settings.input_bits), output_format(profile, settings.output_bits)
    judge = Judge(profile, formats, target, settings.clock_mhz)
    datapath = lower(expression, *formats, target, settings.clock_mhz)
    r2, tail = profile.r2(expression.numpy(profile.x)), judge.tail(expression)
    given = Candidate(expression, r2, tail, 1.0 - r2 + tail, 0.0, GIVEN)
    points = [measure(given, datapath, profile, target)]
    form = canonical(expression)
    fitted = [] if form is None else judge.candidates(form, FITTED)
    if fitted:
        built = lower(fitted[0].expression, *formats, target, settings.clock_mhz)
        points.append(measure(fitted[0], built, profile, target))
    found = run.read(FRONT, layer).points if run.at(FRONT, layer).is_file() else ()
    return Score(layer, profile.ceiling_r2, tuple(points), found)


def score_table(found: Score) -> Table:
    """A line a formula, and one for each function of the front."""
    table = Table(
        title=f"{found.layer}: R2 of at most {found.ceiling_r2:.4f}",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("function", no_wrap=True)
    table.add_column("family", no_wrap=True)
    for heading in ("R2", "bit-true", "tail", "cost", "LUT", "FF", "DSP", "cycles", "max ulp"):
        table.add_column(heading, justify="right", no_wrap=True)
    for points, style in ((found.points, "bold"), (found.front, None)):
        for p in points:
            text = p.expression if len(p.expression) <= 60 else p.expression[:57] + "..."
            figures = (f"{p.r2:.4f}", f"{p.r2_bit_true:.4f}", f"{p.tail:.4f}", f"{p.cost:g}", str(p.lut))
            more = (str(p.ff), str(p.dsp), str(p.latency), ulp_text(p.max_error_ulp))
            table.add_row(text, p.family, *figures, *more, style=style)
    return table
