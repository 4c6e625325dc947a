"""What a run ends with: a table of its kernels and one of its accuracies."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from hwnorm.expression import short
from hwnorm.network.choice import Chosen
from hwnorm.progress import out

#: Pairs of fields of ``realign.json``, float and bit-true -> what the network is called for people.
NETWORKS = {
    ("layernorm", None): "the original",
    ("functions_only", "functions_only_bit_true"): "functions, nothing else",
    ("closed_form", "closed_form_bit_true"): "re-aligned in closed form",
    ("realigned", "bit_true"): "functions, re-aligned",
}


def kernel_table(chosen: list[Chosen], verdicts: list[dict[str, Any]]) -> Table:
    """One line a norm layer."""
    found = {verdict["top"]: verdict for verdict in verdicts}
    table = Table(title="Kernels", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("expression", no_wrap=True)
    area = "area" if any(c.resources.area for c in chosen) else "LUT"
    for heading in ("R2 of ceiling", "in", "out", "cycles", area, "FF", "DSP", "max ulp"):
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
            f"{used.area or used.lut:g}",
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
    for heading in ("area", "predicted loss", "measured", "same top-1", ""):
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


def accuracy_table(realign: dict[str, Any]) -> Table:
    """Two lines a network, float and bit-true: top-1 and top-5, or the cosine to the teacher's features."""
    scores = realign["scores"]
    classes = bool(realign["top1"])
    what = "Accuracy" if classes else "Cosine to the original's features"
    table = Table(
        title=f"{what} on {realign['test_images_from']} (fingerprint {realign['test_fingerprint']})",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("network")
    for heading in ("top-1", "95 % interval", "top-5") if classes else ("cosine", "95 % interval", "centred"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fields, label in NETWORKS.items():
        if fields[0] == "realigned" and "closed_form" in scores:
            label = "functions, re-aligned and fine-tuned"
        for field, kind in zip(fields, ("", ", bit-true"), strict=True):
            if field not in scores:
                continue
            found = scores[field]
            if classes:
                low, high = found["top1"]["interval"]
                cells = (
                    f"{found['top1']['percent']:.2f} %",
                    f"{low:.2f} to {high:.2f}",
                    f"{found['top5']['percent']:.2f} %",
                )
            else:
                low, high = found["cosine_interval"]
                cells = f"{found['cosine']:.4f}", f"{low:.4f} to {high:.4f}", f"{found['cosine_centred']:.4f}"
            table.add_row(label + kind, *cells)
    return table


def print_wide(table: Table) -> None:
    """Print a table at the width it needs, beyond a narrow terminal's edge: a layer stays a line."""
    wide = Console(width=1000)
    needed = Measurement.get(wide, wide.options, table).maximum
    Console(width=max(needed, out.width)).print(table)
