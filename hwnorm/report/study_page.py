"""The report of a study: its pictures, and one interactive HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hwnorm.compare.designs import CHOSEN, LAYERNORM
from hwnorm.compare.traffic import Traffic
from hwnorm.cost.cost import Resources
from hwnorm.files import write_text
from hwnorm.report.curves import Curves, fit_plot
from hwnorm.report.details import Sources, counted, setting_text, study_details
from hwnorm.report.operators import Parts, note_of, operators_figure, parts_of
from hwnorm.report.page import data_url, environment, remove_stale
from hwnorm.report.pareto import accuracy_text, interval, pareto_figure, pareto_plot
from hwnorm.report.study import Study, Trial, read_study
from hwnorm.report.style import save
from hwnorm.report.traffic import Site, site_of, traffic_figure

#: How far below the original network a trial may be and still be called near: points of top-1, or cosine.
_NEAR = {"top-1": (1.0, "1 point"), "cosine": (0.01, "0.01")}


def write_study_report(path: Path) -> Path:
    """Draw ``report/*.png`` and ``*.svg`` and write ``report.html`` into a study's folder.

    Args:
        path: the study file, or its folder.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: it is no study, an artefact is damaged, or what the extra ``sweep`` installs is missing.
    """
    study = read_study(path)
    plot = pareto_plot(study) if study.shown else None
    folder = study.folder / "report"
    pictures = {}
    for name, figure in _figures(study).items():
        save(figure, folder / name)
        pictures[name] = data_url(folder / name)
    remove_stale(folder, pictures)
    page = study.folder / "report.html"
    write_text(page, _render(study, plot, pictures))
    return page


def _figures(study: Study) -> dict[str, Figure]:
    found = {}
    if study.shown:
        found["front.png"] = pareto_figure(study)
    with_runs = [trial for trial in study.front if trial.run is not None]
    if bars := [bar for trial in with_runs if (bar := _parts(trial)) is not None]:
        title = "What the kernels of the front are made of, all of a network together, one lane each"
        found["operators.png"] = operators_figure(bars, study.unit, title)
    if sites := [site for trial in with_runs if (site := _site(trial)) is not None]:
        found["bytes.png"] = traffic_figure(sites, "Bytes of one token at all norms together, on the front")
    return found


def _parts(trial: Trial) -> Parts | None:
    """The bar of a trial: the area of its kernels together, the latency of its slowest one."""
    target = trial.run.target if trial.run is not None else None
    if trial.run is None or target is None:
        return None
    chosen = [layer.chosen for layer in trial.run.layers if layer.chosen]
    bars = [parts_of(c.layer, c.datapath, c.resources, target) for c in chosen]
    area: dict[str, float] = {}
    for bar in bars:
        for kind, value in bar.area.items():
            area[kind] = area.get(kind, 0.0) + value
    slowest = max(bars, key=lambda bar: sum(bar.cycles.values()), default=None)
    used = Resources(**{f.name: sum(getattr(c.resources, f.name) for c in chosen) for f in fields(Resources)})
    return Parts(f"trial {trial.number}", area, slowest.cycles if slowest else {}, note_of(used, target.unit))


def _site(trial: Trial) -> Site | None:
    """The bars of a trial: the sums over its norms."""
    if trial.run is None:
        return None
    run = trial.run
    sites = [site for layer in run.layers if (site := site_of(layer, run.lanes)) is not None]
    if not sites:
        return None
    before, after = (
        Traffic(
            sum(t.held for t in traffic),
            sum(t.moved for t in traffic),
            sum(t.unbuffered for t in traffic),
        )
        for traffic in ([s.layernorm for s in sites], [s.function for s in sites])
    )
    return Site(f"trial {trial.number}", before, after)


def _render(study: Study, plot: dict[str, Any] | None, pictures: dict[str, str]) -> str:
    sources, curves = Sources(), Curves()
    details = study_details(study, sources, curves)
    rendered = environment()
    rendered.filters["setting"] = setting_text
    rendered.filters["script"] = _script_json
    return rendered.get_template("report/study.html.j2").render(
        study=study,
        summary=_summary(study),
        parameters=list(dict.fromkeys(name for t in study.trials for name in t.row.parameters)),
        accuracy=accuracy_text,
        details=details,
        sources=sources.texts,
        left_out=sorted(sources.left_out),
        plot=plot,
        curves=curves.data,
        fit=fit_plot() if plot else None,
        start=_start(study),
        pictures=pictures,
        plotly=_plotly() if plot else "",
    )


def _script_json(value: Any) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("</", "<\\/").replace("<!--", "<\\u0021--")


def _plotly() -> str:
    """Plotly's own JavaScript, with its licence at its head."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _start(study: Study) -> int | None:
    """The trial that the page begins with."""
    best = _nearest(study) or (study.front[-1] if study.front else None)
    if best is None:
        best = next(iter(study.shown or study.trials), None)
    return None if best is None else best.number


def _nearest(study: Study) -> Trial | None:
    """The smallest trial of the front that is near the original network."""
    allowed, _ = _NEAR[study.accuracy_name] if study.shown else (0.0, "")
    return next((t for t in study.front if _lost(t) <= allowed), None)


def _lost(trial: Trial) -> float:
    """What a trial's network lost against the original."""
    original = trial.row.accuracy_layernorm
    return float("inf") if original is None else original - trial.accuracy


def _summary(study: Study) -> list[str]:
    """What came out, in a few sentences that promise nothing."""
    said = [_best_sentence(study)]
    if study.front:
        said.append(_synthesis_sentence(_nearest(study) or study.front[-1]))
    said.append(_count_sentence(study))
    bounds = interval(study.front[-1]) if study.front else None
    if bounds is not None:
        half, images = (bounds[1] - bounds[0]) / 2, study.front[-1].row.test_images
        said.append(
            f"On {images:,} images the 95 % interval is {half:.1f} points to either side: trials that are "
            "nearer to one another are not told apart by it, and the best of many is flattered."
        )
    if len({t.row.test_fingerprint for t in study.shown}) > 1:
        said.append("Not all trials were measured on the same test images.")
    if others := [t.number for t in study.trials if t.row.state == "complete" and t not in study.shown]:
        said.append(f"Not in the picture, for their accuracy or area is of another kind: {_numbers(others)}.")
    return [sentence for sentence in said if sentence]


def _best_sentence(study: Study) -> str:
    if not study.front:
        return "No trial is complete and verified: there is no front."
    near = _nearest(study)
    best = near or study.front[-1]
    row = best.row
    _, within = _NEAR[study.accuracy_name]
    named = f"trial {best.number}"
    if near is not None:
        head = f"The smallest network within {within} of LayerNorm is {named}"
    else:
        head = f"No trial comes within {within} of LayerNorm; the most accurate is {named}"
    images = f" on {row.test_images:,} test images" if row.test_images else ""
    return (
        f"{head}: {accuracy_text(row.accuracy_bit_true, row.accuracy_name)}{images}, computed with the "
        f"integers of its kernels, {_against(best)}. Its area is {row.area:g} {row.unit} as predicted, for "
        f"{counted(row.kernels, 'kernel')} of one lane each, and {row.folded} of its norms are folded into "
        "linear layers."
    )


def _against(trial: Trial) -> str:
    original, name = trial.row.accuracy_layernorm, trial.row.accuracy_name
    if original is None:
        return "with nothing known of the original"
    difference = trial.accuracy - original
    exact = f"{abs(difference):.2f} points" if name == "top-1" else f"{abs(difference):.4f}"
    where = "above" if difference > 0 else "below"
    return f"{exact} {where} the original's {accuracy_text(original, name)}"


def _synthesis_sentence(trial: Trial) -> str:
    """What ``hwnorm compare`` measured for a trial, if it was run."""
    found = None if trial.run is None else trial.run.comparison
    if found is None:
        return ""
    field = "lut" if found.unit == "LUT" else "area"
    totals = found.totals()
    return (
        f"Synthesized for {found.target}, the stream stages of trial {trial.number} take "
        f"{totals[CHOSEN][field]:,g} {found.unit}, the LayerNorms in their places "
        f"{totals[LAYERNORM][field]:,g}."
    )


def _count_sentence(study: Study) -> str:
    complete = [t for t in study.trials if t.row.state == "complete"]
    failed = len(study.trials) - len(complete)
    verified = sum(bool(t.row.verified) for t in complete)
    return (
        f"Of {counted(len(study.trials), 'trial')}, {len(complete)} completed and {failed} failed; "
        f"in {verified} of the completed ones every kernel passed every check. "
        f"On the front: {len(study.front)}."
    )


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(f"trial {number}" for number in numbers)
