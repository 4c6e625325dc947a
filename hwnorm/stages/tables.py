"""What a run ends with: a table of its kernels and one of its accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from hwnorm.choose.choices import ChoicePoint, Choices
from hwnorm.cost.cost import Resources
from hwnorm.engine.stored import PhaseCycles, Point, StoredCosim, StoredEngine
from hwnorm.engine.synthesis import EngineSynthesis
from hwnorm.expression import short
from hwnorm.integers.stored import StoredNetwork
from hwnorm.network.choice import Choice, Chosen
from hwnorm.network.paired import p_text
from hwnorm.progress import out
from hwnorm.realign.realigned import Paired, Realigned
from hwnorm.rounding import percent_text, ulp_text
from hwnorm.share.form import Form
from hwnorm.share.stored import StoredShare
from hwnorm.verify.verdict import Verdict

#: Pairs of fields of ``realign.json``, float and bit-true -> what the network is called for people.
NETWORKS = {
    ("layernorm", None): "the original",
    ("functions_only", "functions_only_bit_true"): "functions, nothing else",
    ("closed_form", "closed_form_bit_true"): "re-aligned in closed form",
    ("realigned", "bit_true"): "functions, re-aligned",
}


def kernel_table(chosen: Sequence[Chosen], verdicts: Sequence[Verdict]) -> Table:
    """One line a norm layer."""
    found = {verdict.top: verdict for verdict in verdicts}
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
            ulp_text(path.certificate.max_error_ulp),
            exactness(None if verdict is None else verdict.verilator_bit_exact),
            exactness(None if verdict is None else verdict.hls_bit_exact),
        )
    return table


def front_table(choices: Choices, choice: Choice) -> Table:
    """The front of choices where it was measured, and the choice: a line each, smallest first."""
    table = Table(
        title=f"Choices for the network (loss: {choices.loss}; predicted on {choices.images} training "
        f"images, measured on {choices.measured_images} others)",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("area", "predicted loss", "measured", "same top-1", ""):
        table.add_column(heading, justify="right")
    picked = _row(choice)
    rows = {_row(point) for point in choices.front if point.measured_loss is not None}
    for row in sorted(rows | {picked}, key=lambda row: row[0]):
        area, predicted, measured, agreement = row
        same = "" if agreement is None else f"{agreement:.1f} %"
        mark = "chosen" if row == picked else ""
        table.add_row(f"{area:g}", f"{predicted:.4f}", f"{measured:.4f}", same, mark)
    return table


def _row(point: ChoicePoint | Choice) -> tuple[float, float, float | None, float | None]:
    return point.area, point.predicted_loss, point.measured_loss, point.agreement


def exactness(bit_exact: bool | None) -> str:
    """What a verdict says, as the word in the table."""
    return "not verified" if bit_exact is None else "bit-exact" if bit_exact else "DIFFERS"


def accuracy_table(realigned: Realigned) -> Table:
    """Two lines a network, float and bit-true: top-1 and top-5, or the cosine to the teacher's features.

    The difference to the original is that on the same images, with its paired 95 % interval.
    """
    labels = {}
    for fields, label in NETWORKS.items():
        if fields[0] == "realigned" and "closed_form" in realigned.scores:
            label = "functions, re-aligned and fine-tuned"
        for field, kind in zip(fields, ("", ", bit-true"), strict=True):
            if field is not None:
                labels[field] = label + kind
    return _scores_table(realigned, labels)


def integer_table(found: StoredNetwork) -> Table:
    """One line for each step from the original to integers, as :func:`accuracy_table` has them."""
    return _scores_table(found, found.steps)


def rows_table(found: StoredNetwork) -> Table:
    """One line a linear layer: its rows, their bits, its output's format, and what its codes leave over."""
    table = Table(
        title=f"Weights: {found.weight_bits / 8e3:.1f} kB in rows of 4 and 8 bits; largest buffers: "
        + ", ".join(f"{kind} {size / 1e3:.1f} kB" for kind, size in found.buffers.items()),
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("layer", no_wrap=True)
    for heading in ("inputs", "rows", "8 bits", "output", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in found.layers:
        cells = (layer.inputs, layer.rows, layer.rows8, layer.output)
        table.add_row(layer.layer, *map(str, cells), f"{layer.left:.2e}")
    return table


def engine_front_table(found: StoredEngine) -> Table:
    """One line an engine that no smaller one beats; the picked one is marked."""
    table = Table(
        title=f"Engines for {found.target} at {found.clock_mhz:g} MHz, predicted",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    headings = (
        "tokens",
        "columns",
        "depth",
        "LUT",
        "FF",
        "DSP",
        "BRAM",
        "cycles",
        "images/s",
        "utilisation",
        "",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for point in found.front:
        table.add_row(*_point(point, found), "picked" if point == found.picked else "")
    return table


def _point(point: Point, found: StoredEngine) -> list[str]:
    engine, takes = point.engine, point.resources
    return [
        f"{engine.tokens}",
        f"{engine.columns}" + (f" ({engine.lut_columns} of LUTs)" if engine.lut_columns else ""),
        f"{engine.depth}",
        *map(str, (takes.lut, takes.ff, takes.dsp, takes.bram) if takes else ("", "", point.dsps, "")),
        str(point.cycles),
        f"{found.rate(point):.0f}",
        f"{100 * point.utilisation:.1f} %",
    ]


def engine_table(found: StoredEngine) -> Table:
    """One line for the phases of a layer: its cycles, those of the array, and what was waited for."""
    engine, picked = found.picked.engine, found.picked
    per = sum(found.products) * picked.engine.engine().dsp_share / picked.cycles / max(1, picked.dsps)
    takes = picked.resources
    table = Table(
        title=f"{engine.engine()}: "
        f"{picked.cycles} cycles, "
        f"{found.rate(picked):.0f} images/s at {found.clock_mhz:g} MHz (assumed), "
        f"{100 * picked.utilisation:.1f} % of the array, {per:.2f} products a DSP and cycle, "
        f"{found.weight_bytes / 1e3:.1f} kB of weights an image; "
        + (
            f"predicted {takes.lut} LUT, {takes.ff} FF, {takes.dsp} DSP, {takes.bram} BRAM of 18 kbit"
            if takes
            else f"{picked.dsps} DSP; LUT, FF and BRAM are not predicted"
        ),
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("phases", no_wrap=True)
    waits = ("codes", "epilogue", "weights", "softmax")
    for heading in ("cycles", "array", *(f"waits: {wait}" for wait in waits)):
        table.add_column(heading, justify="right", no_wrap=True)
    # A head's scores and another's context take turns: each phase has the cycles since the one before it.
    groups: dict[str, list[tuple[int, PhaseCycles]]] = {}
    before = 0
    for phase in found.phases:
        name = phase.name.split(" head ")[0].split(" ")[0]
        groups.setdefault(name, []).append((phase.end - before, phase))
        before = phase.end
    for name, phases in groups.items():
        sums = [sum(phase.waited[wait] for _, phase in phases) for wait in waits]
        cells = (sum(cycles for cycles, _ in phases), sum(phase.busy for _, phase in phases))
        table.add_row(name, *map(str, cells), *(str(n) if n else "" for n in sums))
    return table


def engine_synthesis_table(found: EngineSynthesis) -> Table:
    """One line a resource: counted, predicted, and of the device once it is placed and routed."""
    engine, placed = found.engine, found.placed
    title = f"{engine.engine()} for {found.target}, {found.cycles} cycles an image"
    if placed is not None:
        title += (
            f"; placed and routed for {found.clock_mhz:g} MHz: {placed.fmax_mhz:.1f} MHz, "
            f"{found.rate:.0f} images/s; slowest path from {placed.path[0]} to {placed.path[-1]}"
        )
    table = Table(title=title, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("synthesized", "predicted"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in ("lut", "ff", "dsp", "bram"):
        predicted = "not predicted" if found.predicted is None else str(getattr(found.predicted, name))
        table.add_row(name.upper(), str(getattr(found.counted, name)), predicted)
    if placed is not None:
        for kind, taken in placed.taken.items():
            table.add_row(f"placed: {kind}", f"{taken} of {placed.there[kind]}", "")
    return table


def cosim_table(found: StoredCosim) -> Table:
    """What was equal, and the cycles of the first image side by side."""
    table = Table(title="The engine's Verilog on Verilator", header_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("images", "logits equal", "cycles equal", "predicted", "counted"):
        table.add_column(heading, justify="right", no_wrap=True)
    cycles = (_several(found.predicted), _several(found.counted))
    table.add_row(*map(str, (found.images, found.logits_equal, found.cycles_equal)), *cycles)
    return table


def _several(cycles: Sequence[int]) -> str:
    low, high = min(cycles), max(cycles)
    return str(low) if low == high else f"{low} to {high}"


def _scores_table(found: Realigned | StoredNetwork, labels: Mapping[str, str]) -> Table:
    """A line for each network of which there are scores."""
    classes = any(score.top1 is not None for score in found.scores.values())
    what = "Accuracy" if classes else "Cosine to the original's features"
    table = Table(
        title=f"{what} on {found.test_images_from} (fingerprint {found.test_fingerprint})",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("network", no_wrap=True)
    for heading in ("top-1", "95 % interval", "top-5") if classes else ("cosine", "95 % interval", "centred"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("difference, 95 %", "McNemar p") if classes else ("difference, 95 %",):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, label in labels.items():
        if name not in found.scores:
            continue
        score = found.scores[name]
        if score.top1 is not None and score.top5 is not None:
            low, high = score.top1.interval
            exact, within = percent_text(score.top1.percent), f"{low:.2f} to {high:.2f}"
            cells = exact, within, percent_text(score.top5.percent)
        else:
            low, high = score.cosine_interval
            cells = f"{score.cosine:.4f}", f"{low:.4f} to {high:.4f}", f"{score.cosine_centred:.4f}"
        table.add_row(label, *cells, *_difference(found.paired.get(name)))
    return table


def _difference(paired: Paired | None) -> list[str]:
    """Cells of the difference to the original, in points or of the cosine; none of the original itself."""
    if paired is None:
        return []
    (low, high), digits = paired.interval, 4 if paired.mcnemar_p is None else 2
    text = f"{paired.difference:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
    return [text] if paired.mcnemar_p is None else [text, p_text(paired.mcnemar_p)]


#: The ways to build a unit of functions, for people.
FORMS = {
    Form.TABLES: "tables side by side in one memory of logic",
    Form.KERNELS: "a multiplexer of kernels",
    Form.LOADED: "tables loaded at run time",
}


def shared_layers_table(found: StoredShare) -> Table:
    """A line a layer of a shared unit: what selects its function, and that function's certificate."""
    table = Table(title="Shared function unit", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("expression", no_wrap=True)
    for heading in ("select", "in", "out", "max ulp", "at code", "mean ulp", "codes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found.layers:
        table.add_row(
            each.layer,
            short(each.expression),
            str(each.function),
            str(each.input),
            str(each.output),
            f"{each.max_error_ulp:.3f}",
            "not known" if each.worst_code is None else str(each.worst_code),
            "not known" if each.mean_error_ulp is None else f"{each.mean_error_ulp:.3f}",
            str(each.codes),
        )
    return table


def share_table(found: StoredShare) -> Table:
    """A line a way to build the unit, as predicted; and a stage for each function beside them."""
    table = Table(
        title="Ways to build it (predicted, of the stream stage)",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("form", no_wrap=True)
    area = "area" if found.separate.area else "LUT"
    for heading in ("cycles", area, "FF", "DSP", "BRAM", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for form in found.forms:
        told = "built" if form.form is found.form else form.why
        row = ["-"] * 5 if form.resources is None else _taken(form.resources)
        table.add_row(FORMS[form.form], str(form.latency or "-"), *row, told)
    count = len({each.function for each in found.layers})
    table.add_row(f"{count} kernels, a stage each", "-", *_taken(found.separate), "")
    return table


def _taken(used: Resources) -> list[str]:
    return [f"{used.area or used.lut:g}", str(used.ff), str(used.dsp), str(used.bram), f"{used.cost:g}"]


def print_wide(table: Table) -> None:
    """Print a table at the width it needs, beyond a narrow terminal's edge: a layer stays a line."""
    wide = Console(width=1000, markup=False, emoji=False)
    needed = Measurement.get(wide, wide.options, table).maximum
    Console(width=max(needed, out.width), markup=False, emoji=False).print(table)
