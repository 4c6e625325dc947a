"""What a run ends with: a table of its kernels and one of its accuracies."""

from __future__ import annotations

import re
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from hwnorm.choose.choice import Chosen
from hwnorm.progress import out

#: Field of ``realign.json`` -> what it is called for people.
NETWORKS = {
    "layernorm": "LayerNorm (the original)",
    "functions_only": "functions, nothing else",
    "realigned": "functions, re-aligned",
    "bit_true": "re-aligned, bit-true integers",
}


def kernel_table(chosen: list[Chosen], verdicts: list[dict[str, Any]]) -> Table:
    """One line a norm layer."""
    found = {verdict["top"]: verdict for verdict in verdicts}
    table = Table(title="Kernels", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("expression", no_wrap=True)
    for heading in ("R2 of ceiling", "in", "out", "cycles", "LUT", "FF", "DSP", "max ulp"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Verilator", "HLS"):
        table.add_column(heading, no_wrap=True)
    for c in chosen:
        path, used, verdict = c.datapath, c.resources, found.get(c.top)
        r2 = f"{c.r2:.3f} of {c.ceiling_r2:.3f}"
        if path is None:
            table.add_row(c.layer, short(c.expression), r2, *["-"] * 3, "0", "0", "0", "-", "folds", "folds")
            continue
        table.add_row(
            c.layer,
            short(c.expression),
            r2,
            str(path.input),
            str(path.output),
            str(path.latency),
            str(used.lut),
            str(used.ff),
            str(used.dsp),
            f"{path.certificate.max_error_ulp:.3f}",
            exactness(verdict, "verilator_bit_exact"),
            exactness(verdict, "hls_bit_exact"),
        )
    return table


def front_table(choices: dict[str, Any], choice: dict[str, Any]) -> Table:
    """The front of choices where it was measured, and the choice: a line each, smallest first."""
    table = Table(
        title=f"Choices for the network (loss: {choices['loss']}, {choices['images']} training images)",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("LUT", "predicted loss", "measured", "same top-1", ""):
        table.add_column(heading, justify="right")
    names = ("area", "predicted_loss", "measured_loss", "agreement")
    picked = tuple(choice[name] for name in names)
    rows = {tuple(p[name] for name in names) for p in choices["front"] if p["measured_loss"] is not None}
    for row in sorted(rows | {picked}, key=lambda row: row[0]):
        area, predicted, measured, agreement = row
        same = "" if agreement is None else f"{agreement:.1f} %"
        mark = "chosen" if row == picked else ""
        table.add_row(f"{area:g}", f"{predicted:.4f}", f"{measured:.4f}", same, mark)
    return table


def exactness(verdict: dict[str, Any] | None, field: str) -> str:
    """A verdict's field as the word in the table."""
    if verdict is None:
        return "not verified"
    return "bit-exact" if verdict[field] else "DIFFERS"


def short(expression: str) -> str:
    """The expression with numbers of at most four significant digits, for reading."""
    return re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.4g}", expression)


def accuracy_table(realign: dict[str, Any]) -> Table:
    """One line a network."""
    table = Table(title=f"Top-1 on {realign['test_images_from']}", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("network")
    table.add_column("top-1", justify="right")
    table.add_column("95 % interval", justify="right")
    for field, label in NETWORKS.items():
        measured = realign["top1"][field]
        low, high = measured["interval"]
        table.add_row(label, f"{measured['percent']:.2f} %", f"{low:.2f} to {high:.2f}")
    return table


def print_wide(table: Table) -> None:
    """Print a table at the width it needs, beyond a narrow terminal's edge: a layer stays a line."""
    wide = Console(width=1000)
    needed = Measurement.get(wide, wide.options, table).maximum
    Console(width=max(needed, out.width)).print(table)
