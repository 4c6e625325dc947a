"""The report of a run: its pictures, and one HTML page that holds them and needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from hwnorm.expression import parse, short
from hwnorm.files import write_text
from hwnorm.network.paired import p_text
from hwnorm.progress import track
from hwnorm.realign.realigned import Paired, Realigned
from hwnorm.report.accuracy import STEPS, accuracy_figure, difference_text
from hwnorm.report.artefacts import Run, read_run
from hwnorm.report.choices import choices_figure
from hwnorm.report.engine import diagram_figure, engines_figure, phases_figure
from hwnorm.report.engine import sentence as engine_sentence
from hwnorm.report.error import error_figure
from hwnorm.report.fit import fit_figure
from hwnorm.report.front import FrontPoint, front_figure
from hwnorm.report.integers import bits_figure, bytes_figure, left_figure, sizes_text
from hwnorm.report.operators import operators_figure, parts_of
from hwnorm.report.style import save, warm_up
from hwnorm.report.traffic import site_of, traffic_figure
from hwnorm.resources import resource
from hwnorm.rounding import percent_text
from hwnorm.workers import workers


@dataclass(frozen=True)
class _Picture:
    name: str
    figure: Figure


def write_report(run: Path, jobs: int = 1) -> tuple[str, ...]:
    """Draw ``report/*.png`` and write ``report.html`` into a run folder, in place of earlier ones.

    What an artefact that is not there yet would tell is said to be missing; one that does not belong to what
    lies beside it is not shown, and what renews it is said.

    Args:
        run: the run folder.
        jobs: processes that save pictures; the results do not depend on it.

    Returns:
        The names of the pictures.

    Raises:
        InputError: the folder holds no ``run.json``, or an artefact of it is damaged (names the file).
    """
    with workers(jobs) as pool:
        for _ in range(jobs):
            pool.submit(warm_up)  # while this one reads
        found = read_run(run)
        saved: dict[str, Future[None]] = {}
        for picture in _pictures(found):
            saved[picture.name] = pool.submit(save, picture.figure, run / "report" / picture.name)
        for future in track(saved.values(), "report", len(saved)):
            future.result()
    data_urls = {name: data_url(run / "report" / name) for name in saved}
    remove_stale(run / "report", data_urls)
    write_text(run / "report.html", _render(found, run.resolve().name, data_urls))
    return tuple(data_urls)


def data_url(path: Path) -> str:
    """A PNG as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def remove_stale(folder: Path, names: Iterable[str]) -> None:
    """Remove the pictures of an earlier report that are not among ``names``, those of the PNGs."""
    kept = {(folder / name).with_suffix(suffix) for name in names for suffix in (".png", ".svg")}
    for stale in {*folder.glob("*.png"), *folder.glob("*.svg")} - kept:
        stale.unlink()


def environment() -> Environment:
    """The templates, with everything escaped that is put into them."""
    return Environment(
        loader=FileSystemLoader(resource("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _pictures(run: Run) -> Iterator[_Picture]:
    if run.top1:
        steps = {step: run.top1[step] for step in STEPS if step in run.top1}
        yield _Picture("accuracy.png", accuracy_figure(steps, run.paired))
    if run.choices:
        yield _Picture("choices.png", choices_figure(run.choices, run.choice))
    if run.integer is not None and run.integer.layers:
        yield _Picture("bits.png", bits_figure(run.integer.layers))
        yield _Picture("left.png", left_figure(run.integer.layers))
        yield _Picture("weights.png", bytes_figure(run.integer))
    if run.engine is not None:
        yield _Picture("engine.png", diagram_figure(run.engine))
        yield _Picture("phases.png", phases_figure(run.engine.phases))
        yield _Picture("engines.png", engines_figure(run.engine))
    target = run.target
    built = [layer for layer in run.layers if layer.chosen]
    if target is not None and built:
        bars = [parts_of(x.name, x.chosen.datapath, x.chosen.resources, target) for x in built if x.chosen]
        title = "What the kernels are made of, one lane, without the stream wrapper"
        yield _Picture("operators.png", operators_figure(bars, target.unit, title))
    if sites := [site for layer in run.layers if (site := site_of(layer, run.lanes)) is not None]:
        yield _Picture("bytes.png", traffic_figure(sites, "Bytes of one token at each norm"))
    for layer in run.layers:
        chosen = layer.chosen
        if chosen is not None and chosen.datapath is not None:
            figure = error_figure(layer.name, parse(chosen.expression), chosen.datapath, layer.profile)
            yield _Picture(f"error_{layer.name}.png", figure)
        if chosen is not None and layer.profile is not None:
            expression = parse(chosen.expression)
            figure = fit_figure(
                layer.name, layer.profile, expression, chosen.datapath, chosen.r2, chosen.ceiling_r2
            )
            yield _Picture(f"fit_{layer.name}.png", figure)
        if layer.front is not None and layer.front.points:
            at = (
                FrontPoint(family=chosen.family, cost=chosen.resources.cost, r2=chosen.r2) if chosen else None
            )
            figure = front_figure(
                layer.name,
                layer.front.points,
                layer.front.ceiling_r2,
                at,
                chosen.expression if chosen else "",
            )
            yield _Picture(f"front_{layer.name}.png", figure)


def _render(run: Run, title: str, data_urls: dict[str, str]) -> str:
    templates = environment()
    templates.filters["setting"] = _setting_text
    templates.filters["short"] = short
    templates.filters["p"] = p_text
    templates.filters["difference"] = difference_text
    chosen = [layer.chosen for layer in run.layers if layer.chosen]
    return templates.get_template("report/report.html.j2").render(
        title=title,
        run=run,
        steps=STEPS,
        sizes=sizes_text,
        engine_sentence=engine_sentence,
        summary=_accuracy_sentence(run),
        hardware=_hardware_sentence(run),
        totals={key: sum(getattr(c.resources, key) for c in chosen) for key in ("lut", "ff", "dsp")},
        target=run.target,
        tools=next((layer.verdict.tools for layer in run.layers if layer.verdict), {}),
        pictures=data_urls,
    )


def _accuracy_sentence(run: Run) -> str:
    """What became of the network, in one sentence."""
    if run.realigned is not None and not run.top1:
        return _cosine_sentence(run.realigned)
    if "layernorm" not in run.top1:
        return "The network's accuracy is not measured: this run has no realign.json."
    before = run.top1["layernorm"]
    right = percent_text(before.percent)
    text = f"With LayerNorm the network is right on {right} of {before.total:,} test images"
    named = {
        "functions_only": "with a scalar function in the place of each norm and nothing else changed",
        "realigned": "after re-alignment",
        "bit_true": "computed with the bit-true integers of the kernels",
    }
    parts = [
        f"{how}, {percent_text(run.top1[step].percent)} ({_difference(run.paired[step])})"
        for step, how in named.items()
        if step in run.top1
    ]
    return "; ".join([text, *parts]) + "."


def _cosine_sentence(realigned: Realigned) -> str:
    """What became of a network whose images have no labels, or which has no classes."""
    scores = realigned.scores
    named = {"realigned": "after re-alignment", "bit_true": "with the bit-true integers of the kernels"}
    cosines = [f"{scores[step].cosine:.4f} {how}" for step, how in named.items() if step in scores]
    return (
        f"The network has no classes, or its {realigned.test_images:,} test images no labels; the cosine to "
        f"the original's output is {', '.join(cosines) or 'not measured'}."
    )


def _difference(paired: Paired) -> str:
    points, (low, high) = paired.difference, paired.interval
    by = f"{abs(points):.2f} points {'above' if points > 0 else 'below'}"
    what = by if abs(points) >= 0.005 else "no difference"
    p = "not known" if paired.mcnemar_p is None else p_text(paired.mcnemar_p)
    return f"{what}, 95 % interval {low:+.2f} to {high:+.2f}, McNemar p {p if p[0] == '<' else f'= {p}'}"


def _hardware_sentence(run: Run) -> str:
    """What the verification found, in one sentence."""
    chosen = [layer for layer in run.layers if layer.chosen]
    kernels = [layer for layer in chosen if layer.chosen and layer.chosen.datapath is not None]
    if not chosen:
        return "No function is chosen yet: this run has no choice.json."
    folded = len(chosen) - len(kernels)
    folds = f" {folded} of {len(chosen)} norms fold into linear layers and need no kernel." if folded else ""
    if not kernels:
        return folds.strip()
    if not run.verified:
        return f"The {len(kernels)} kernels are not verified: this run has no verdict.json.{folds}"
    verdicts = [layer.verdict for layer in kernels]
    passed = sum(v is not None and v.passed is True for v in verdicts)
    exhaustive = all(v is not None and v.exhaustive for v in verdicts)
    verilator = sum(v is not None and v.verilator_bit_exact is True for v in verdicts)
    hls = sum(v is not None and v.hls_bit_exact is True for v in verdicts)
    return (
        f"Of {len(kernels)} kernels, {verilator} are bit-exact in Verilator and {hls} in HLS C++, over "
        f"{'all input codes' if exhaustive else 'the input codes that were tried'}; "
        f"{passed} passed every check.{folds}"
    )


def _setting_text(value: Any) -> str:
    """A setting or a measured value as a reader would write it."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value)
