"""The page of a search: its pictures, and ``report.html`` beside the front."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hwnorm.files import write_text
from hwnorm.nas.emit import read_front
from hwnorm.nas.spacefile import AXES, NasStudy
from hwnorm.nas.stored import SCORES, NasFront, NasPoint, Scores
from hwnorm.nas.tables import knee_of
from hwnorm.report.page import data_url, environment, remove_stale
from hwnorm.report.style import BLACK, BLUE, GREY, new_figure, save
from hwnorm.supernet.search import Score, front_of


def write_page(study: NasStudy) -> Path:
    """Draw ``report/*.png`` and ``*.svg`` and write ``report.html`` into a study's folder.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: the study has no front yet, or a file of it is damaged.
    """
    front = read_front(study)
    known = Scores(study.folder / SCORES).known
    scored = [score for score in known.values() if score is not None]
    best = [score for _, score in front_of(known, study.cycles)]
    figures = {"scores.png": _scores_figure(front, scored, best)}
    if front.whole.top1 is not None:
        figures["points.png"] = _points_figure(front)
    folder = study.folder / "report"
    pictures = {}
    for name, figure in figures.items():
        save(figure, folder / name)
        pictures[name] = data_url(folder / name)
    remove_stale(folder, pictures)
    page = study.folder / "report.html"
    text = (
        environment()
        .get_template("report/space.html.j2")
        .render(
            study=study,
            front=front,
            axes={name: study.axes[name] for name in AXES},
            sentences=_sentences(front),
            knee=knee_of(front, range(1, len(front.points) + 1)),
            pictures=pictures,
        )
    )
    write_text(page, text)
    return page


def _sentences(front: NasFront) -> list[str]:
    """What came out, in a few sentences that promise nothing."""
    whole, said = front.whole, []
    if whole.top1 is not None:
        for share in (1.0, 0.5, 0.25):
            within = [p for p in front.points if p.cycles <= share * whole.cycles]
            if not within:
                continue
            best = max(within, key=lambda p: p.top1.percent if p.top1 is not None else 0.0)
            assert best.top1 is not None
            low, high = best.top1.lost_interval
            part = "all" if share == 1 else f"{100 * share:g} %"
            said.append(
                f"Within {part} of the whole network's cycles the most accurate point has "
                f"{best.top1.percent:.2f} % top-1: {best.top1.lost:+.2f} points lost "
                f"({low:+.2f} to {high:+.2f}), {best.images_per_second:,.0f} images a second."
            )
    how = "stand as they were trained together" if front.trained else "are fitted in closed form"
    searched = " and ".join(f"{count} by {method}" for method, count in front.scored.items())
    said.append(
        f"Subnets {how}. Scored: {searched}; {front.front} of them are on the front, {len(front.points)} of "
        f"these were built in integers. The whole network with 8-bit rows has {_accuracy(whole)} in "
        f"{whole.cycles:,} cycles."
    )
    return said


def _accuracy(point: NasPoint) -> str:
    return f"cosine {point.cosine:.4f}" if point.top1 is None else f"{point.top1.percent:.2f} % top-1"


def _scores_figure(front: NasFront, scored: Sequence[Score], best: Sequence[Score]) -> Figure:
    """Every score, the front of them, and what was built: loss against cycles."""
    figure, (axes,) = new_figure()
    axes.plot(
        [s.cycles for s in scored], [s.loss for s in scored], ".", color=GREY, markersize=4, label="scored"
    )
    axes.step(
        [s.cycles for s in best],
        [s.loss for s in best],
        where="post",
        color=BLACK,
        linewidth=1,
        label="front of scores",
    )
    axes.plot(
        [p.cycles for p in front.points],
        [p.loss for p in front.points],
        "o",
        color=BLUE,
        label="built, in integers",
    )
    for number, point in enumerate(front.points, 1):
        axes.annotate(str(number), (point.cycles, point.loss), (4, 4), textcoords="offset points", fontsize=8)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel("cycles an image")
    axes.set_ylabel("loss, nats" if front.whole.top1 is not None else "loss, of the variance")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _points_figure(front: NasFront) -> Figure:
    """Top-1 of the points with their intervals, against images a second."""
    figure, (axes,) = new_figure()
    for number, point in enumerate([*front.points, front.whole], 1):
        assert point.top1 is not None
        whole = point is front.whole
        low, high = point.top1.interval
        axes.errorbar(
            [point.images_per_second],
            [point.top1.percent],
            yerr=[[point.top1.percent - low], [high - point.top1.percent]],
            fmt="s" if whole else "o",
            color=BLACK if whole else BLUE,
            capsize=3,
            linewidth=0.8,
        )
        name = "whole, 8 bits" if whole else str(number)
        place = (point.images_per_second, point.top1.percent)
        beside = {"xytext": (-5, 4), "ha": "right"} if whole else {"xytext": (5, 4)}
        axes.annotate(name, place, textcoords="offset points", fontsize=8, **beside)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"images a second at {front.clock_mhz:g} MHz (an assumption)")
    axes.set_ylabel("top-1 in integers, %, with 95 % intervals")
    return figure
