"""What the page of a study shows of one trial and of its layers: JSON of texts that are ready to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hwnorm.compare.designs import Figures
from hwnorm.cost.cost import Resources, area_by_kind, cycles_by_kind
from hwnorm.errors import InputError
from hwnorm.expression import short
from hwnorm.files import digest
from hwnorm.layernorm import LayerNormDesign
from hwnorm.network.choice import Chosen
from hwnorm.report.artefacts import Layer, Run
from hwnorm.report.curves import Curves
from hwnorm.report.operators import grouped
from hwnorm.report.pareto import accuracy_text, interval
from hwnorm.report.study import Study, Trial
from hwnorm.report.traffic import site_of
from hwnorm.rounding import ulp_text
from hwnorm.synth.flow import Counts
from hwnorm.targets.target import Target

#: Characters of Verilog that a page holds at most: Plotly takes 5 MB, and the page should go by mail.
MOST_VERILOG = 8_000_000

_CHECKS = {
    "verilator_bit_exact": "Verilator bit-exact",
    "hls_bit_exact": "HLS bit-exact",
    "protocol_ok": "AXI4-Stream protocol",
    "torch_within_certificate": "PyTorch within certificate",
    "lint_clean": "Lint silent",
    "passed": "All passed",
}
_NORM_TEXT = "(x - mean) / sqrt(variance + eps)"


class Sources:
    """Verilog by its hash, so that what several layers or trials share is held once, up to a size."""

    def __init__(self, most: int = MOST_VERILOG) -> None:
        self.texts: dict[str, str] = {}
        #: Numbers of trials with a file that there was no room for.
        self.left_out: list[int] = []
        self._room = most

    def add(self, files: Mapping[str, str], trial: int) -> list[dict[str, Any]]:
        """The names of files, each with the key of its text; None where there was no room for it."""
        found = []
        for name, text in files.items():
            key: str | None = digest(text.encode())
            if key not in self.texts:
                if len(text) > self._room:
                    key = None
                    if trial not in self.left_out:
                        self.left_out.append(trial)
                else:
                    self._room -= len(text)
                    self.texts[str(key)] = text
            found.append({"file": name, "key": key})
        return found


def study_details(study: Study, sources: Sources, curves: Curves) -> dict[int, dict[str, Any]]:
    """Every trial by its number. The front's Verilog comes first, for there may be no room for all."""
    order: Iterable[Trial] = [*study.front, *(t for t in study.trials if t not in study.front)]
    found = {trial.number: _trial(study, trial, sources, curves) for trial in order}
    return dict(sorted(found.items()))


def _trial(study: Study, trial: Trial, sources: Sources, curves: Curves) -> dict[str, Any]:
    row = trial.row
    layers = [] if trial.run is None else _layers(trial.run, trial.number, sources, curves)
    return {
        "number": trial.number,
        "title": _title(study, trial),
        "parameters": [[name, setting_text(value)] for name, value in row.parameters.items()],
        "facts": _facts(trial),
        "error": row.error,
        "layers": layers,
        "folder": f"{study.name}/trials/{row.trial:04d}",
    }


def _title(study: Study, trial: Trial) -> str:
    row = trial.row
    if row.state != "complete":
        return f"Trial {trial.number} failed"
    where = ", on the front" if trial in study.front else ""
    return (
        f"Trial {trial.number}{where}: {accuracy_text(row.accuracy_bit_true, row.accuracy_name)}, "
        f"{row.area:g} {row.unit}{'' if row.verified else ', NOT VERIFIED'}"
    )


def _facts(trial: Trial) -> list[list[str]]:
    row = trial.row
    if row.state != "complete":
        return []
    name, bounds = row.accuracy_name, interval(trial) if row.accuracy_bit_true is not None else None
    within = f", 95 % interval {bounds[0]:.2f} to {bounds[1]:.2f} %" if bounds else ""
    checked = "every kernel passed every check" if row.verified else "NO: a kernel failed or was not checked"
    clock = "not measured for this target" if row.fmax_mhz is None else f"{row.fmax_mhz:.0f} MHz, predicted"
    return [
        ["bit-true", accuracy_text(row.accuracy_bit_true, name) + within],
        ["re-aligned, in floating point", accuracy_text(row.accuracy_float, name)],
        ["original, LayerNorm", accuracy_text(row.accuracy_layernorm, name)],
        ["test images", f"{row.test_images:,}, {row.test_fingerprint}" if row.test_images else "none"],
        ["area, predicted", f"{row.area:g} {row.unit}; {row.ff} FF, {row.dsp} DSP, {row.bram} BRAM"],
        ["slowest kernel", f"{counted(row.latency, 'cycle')}; {clock}"],
        ["norms", f"{counted(row.kernels, 'kernel')}, {row.folded} folded into linear layers"],
        ["verified", checked],
        *(["not shown", f"{file}: {why}"] for file, why in (trial.run.stale if trial.run else {}).items()),
        ["made by", f"hwnorm {row.hwnorm_version}, torch {row.torch_version}, in {row.seconds or 0:.0f} s"],
    ]


@dataclass(frozen=True)
class _Context:
    """What the layers of a trial have in common, and where their long parts go."""

    trial: int
    run: Run
    target: Target | None
    lanes: int
    sources: Sources
    curves: Curves


def _layers(run: Run, trial: int, sources: Sources, curves: Curves) -> list[dict[str, Any]]:
    context = _Context(trial, run, run.target, run.lanes, sources, curves)
    return [_layer(context, layer, layer.chosen) for layer in run.layers if layer.chosen is not None]


def _layer(context: _Context, layer: Layer, chosen: Chosen) -> dict[str, Any]:
    used, path = chosen.resources, chosen.datapath
    area = f"{used.area or used.lut:g}"
    hardware = [area, str(used.ff), str(used.dsp)]
    if path is None:
        cells = ["", "", "", *["0"] * 3, "", "folds", "folds"]
    else:
        checks = [_verdict_text(layer, check) for check in ("verilator_bit_exact", "hls_bit_exact")]
        error = ulp_text(path.certificate.max_error_ulp)
        cells = [str(path.input), str(path.output), str(path.latency), *hardware, error, *checks]
    return {
        "name": layer.name,
        "expression": chosen.expression,
        "cells": [
            short(chosen.expression),
            chosen.family,
            f"{chosen.r2:.3f} of {chosen.ceiling_r2:.3f}",
            *cells,
        ],
        "curves": None if layer.profile is None else context.curves.add(layer.profile, chosen),
        "certificate": _certificate(chosen),
        "checks": [[name, _verdict_text(layer, key)] for key, name in _CHECKS.items() if path is not None],
        "resources": _resources(context.run, layer, chosen),
        "operations": _operations(chosen, context.target),
        "norm": _norm(layer, context.lanes),
        "sources": context.sources.add(layer.sources, context.trial),
        "norm_sources": context.sources.add(_norm_sources(layer, context.lanes), context.trial),
    }


def _verdict_text(layer: Layer, check: str) -> str:
    value = None if layer.verdict is None else getattr(layer.verdict, check)
    return "not verified" if value is None else "yes" if value else "NO"


def _certificate(chosen: Chosen) -> str:
    if chosen.datapath is None:
        return (
            "Affine: its gain and offset are part of the linear layers that read the norm; nothing is built."
        )
    found = chosen.datapath.certificate
    if not found.exhaustive:
        return (
            f"Error proven below {ulp_text(found.max_error_ulp)} ulp of the output, "
            f"for all {found.codes:,} codes."
        )
    return (
        f"Largest error {ulp_text(found.max_error_ulp)} ulp of the output, at input code {found.worst_code}; "
        f"{ulp_text(found.mean_error_ulp or 0.0)} on average; over all {found.codes:,} input codes, "
        "against the expression in float64."
    )


def _resources(run: Run, layer: Layer, chosen: Chosen) -> list[list[str]]:
    """What, how it is known, area, FF, DSP, BRAM, MHz, cycles."""
    rows = []
    used = chosen.resources
    if chosen.datapath is not None:
        cycles = str(chosen.datapath.latency)
        how = f"predicted for {chosen.datapath.target}, without the stream wrapper"
        rows.append(["one lane of the kernel", how, *_counts(used), "", cycles])
    for name, found in sorted(layer.synthesis.items()):
        what = f"its stream stage, {counted(found.lanes, 'lane')}"
        if found.predicted is not None:
            told = _counts(found.predicted)
            rows.append([what, f"predicted for {name}", *told, _mhz(found.predicted_fmax_mhz), ""])
        rows.append([what, f"synthesized for {name}", *_counts(found.measured), _mhz(found.fmax_mhz), ""])
    comparison = run.comparison
    for row in comparison.rows if comparison is not None else ():
        if comparison is not None and row.layer == layer.name:
            name = "this function" if row.design == "chosen" else row.design
            what = f"{name}: stream stage, {counted(comparison.lanes, 'lane')}"
            how = f"synthesized for {comparison.target}"
            rows.append([what, how, *_counts(row), _mhz(row.fmax_mhz), str(row.latency)])
    return rows


def counted(number: int | None, what: str) -> str:
    """A number of things in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _counts(found: Resources | Counts | Figures) -> list[str]:
    return [f"{found.area or found.lut:g}", *(str(getattr(found, name)) for name in ("ff", "dsp", "bram"))]


def _mhz(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _operations(chosen: Chosen, target: Target | None) -> list[list[str]]:
    """Groups of operations with their area and cycles, as predicted."""
    if chosen.datapath is None or target is None:
        return []
    nodes, latency = chosen.datapath.nodes, chosen.datapath.latency
    area = grouped(area_by_kind(nodes, latency, target))
    cycles = grouped(cycles_by_kind(nodes, latency, target))
    return [
        [name, f"{area.get(name, 0.0):.1f}", f"{cycles.get(name, 0.0):.2f}"]
        for name in dict.fromkeys([*area, *cycles])
    ]


def _design(layer: Layer, lanes: int) -> LayerNormDesign | None:
    """The LayerNorm that the layer's function stands in for, in the same formats."""
    if layer.profile is None:
        return None
    if layer.chosen is not None and layer.chosen.datapath is not None:
        formats = layer.chosen.datapath.input, layer.chosen.datapath.output
    elif layer.front is not None:
        formats = layer.front.input, layer.front.output
    else:
        return None
    try:
        return LayerNormDesign(layer.profile.channels, lanes, *formats)
    except InputError:
        return None


def _norm(layer: Layer, lanes: int) -> str:
    site, design = site_of(layer, lanes), _design(layer, lanes)
    if site is None or design is None:
        return ""
    parameters = ", ".join(f"{name}={value}" for name, value in design.parameters().items())
    return (
        f"{_NORM_TEXT} over D = {design.channels} channels: first result after {design.latency} cycles, "
        f"a token every {design.beats}. It holds at least {site.layernorm.held:,.4g} bytes before that, "
        f"the function {site.function.held:,.4g}; a token moves {site.layernorm.moved:,} bytes, or "
        f"{site.layernorm.unbuffered:,} where it is read twice, for the function {site.function.moved:,}. "
        f"Parameters of rtl/layernorm.v: {parameters}."
    )


def _norm_sources(layer: Layer, lanes: int) -> dict[str, str]:
    design = _design(layer, lanes)
    if design is None:
        return {}
    return {f"rtl/{path.name}": path.read_text(encoding="utf-8") for path in design.sources}


def setting_text(value: Any) -> str:
    """A setting's value as a reader would write it."""
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
