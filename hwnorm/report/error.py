"""The picture of one kernel's error: its distance from the expression at every input code."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hwnorm.datapath.ir import Datapath
from hwnorm.expression import Expression
from hwnorm.profile import LayerProfile
from hwnorm.report.fit import density, draw_shares
from hwnorm.report.style import (
    BLACK,
    GREY,
    SKY,
    VERMILLION,
    draw_stairs,
    new_figure,
    set_margins,
    set_title,
)
from hwnorm.rounding import ulp_text

#: Columns of the picture: of the codes that fall into one, the least and the greatest error are drawn.
_COLUMNS = 512
#: Codes that are looked at where there are more.
_MOST_CODES = 1 << 16
#: Share of the picture's height that the density's peak takes.
_DENSITY_HEIGHT = 0.16


def errors(expression: Expression, datapath: Datapath) -> tuple[np.ndarray, np.ndarray]:
    """What a kernel is off by, as its certificate counts it: clamped to the output's range.

    Returns:
        Input codes, int64, all of them up to 2**16, else so many evenly spaced; and the signed error at each
        in steps of the output, float64.
    """
    fmt, output = datapath.input, datapath.output
    count = min(1 << fmt.width, _MOST_CODES)
    codes = np.linspace(fmt.min_code, fmt.max_code, count).round().astype(np.int64)
    with np.errstate(all="ignore"):
        exact = np.clip(expression.numpy(fmt.to_float(codes)), output.low, output.high)
    return codes, (output.to_float(datapath.evaluate(codes)) - exact) / output.ulp


def error_figure(
    layer: str, expression: Expression, datapath: Datapath, profile: LayerProfile | None
) -> Figure:
    """Draw the error over the input codes, one ulp on either side, and how often the codes occur."""
    codes, off = errors(expression, datapath)
    figure, (axes,) = new_figure(3.4)
    columns = np.array_split(np.arange(len(codes)), min(_COLUMNS, len(codes)))
    starts = np.array([column[0] for column in columns])
    edges = np.append(codes[starts], codes[-1] + 1)
    least, most = (ufunc.reduceat(off, starts) for ufunc in (np.minimum, np.maximum))
    label = "kernel less expression"
    draw_stairs(axes, most, edges, baseline=least, facecolor=SKY, linewidth=0, zorder=2, label=label)
    for line in (most, least):
        draw_stairs(axes, line, edges, baseline=None, fill=False, edgecolor=BLACK, linewidth=0.5, zorder=3)
    for bound in (-1.0, 1.0):
        within = "one ulp: within it a kernel is faithful" if bound > 0 else None
        axes.axhline(bound, color=GREY, linestyle="--", linewidth=1.0, zorder=1, label=within)
    worst = int(np.abs(off).argmax())
    axes.plot(
        codes[worst],
        off[worst],
        "v" if off[worst] > 0 else "^",
        color=VERMILLION,
        markeredgecolor=BLACK,
        markersize=8,
        zorder=4,
        label=f"largest, {ulp_text(abs(off[worst]))} ulp at code {codes[worst]}",
    )
    reach = 1.15 * max(1.0, abs(off[worst]))
    axes.set_ylim(-1.5 * reach, reach)
    if profile is not None:
        shares = density(profile, datapath.input.to_float(edges))
        draw_shares(axes, shares, edges, _DENSITY_HEIGHT, "how often a code occurs (no scale)")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"input code of {datapath.input}")
    axes.set_ylabel(f"error, ulp of {datapath.output}")
    certificate = datapath.certificate
    said = "largest error" if certificate.exhaustive else "error proven below"
    figures = f"{said} {ulp_text(certificate.max_error_ulp)} ulp over {certificate.codes:,} codes"
    set_title(figure, layer, str(expression), figures)
    set_margins(figure, legend_columns=2)
    return figure
