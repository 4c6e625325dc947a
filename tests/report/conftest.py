"""A small run folder with every artefact that the report reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from study_rows import TRIALS, row_of, write_table

from hwnorm.cost.cost import resources
from hwnorm.datapath.serial import to_json
from hwnorm.expression import parse
from hwnorm.files import write_artefact, write_text
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.targets.target import load_target

TARGET = "xcup"
EXPRESSIONS = {"blocks.0.norm1": "2.5*tanh(0.75*x) + 0.25", "blocks.10.norm2": "clip(0.875*x, 3)"}


def profile_of(expression: str, seed: int) -> LayerProfile:
    generator = torch.Generator().manual_seed(seed)
    x = 1.3 * torch.randn(200, 64, generator=generator) + 0.2
    y = parse(expression).to_module()(x)
    y = y + 0.25 * torch.randn(y.shape, generator=generator)
    profile = LayerProfile.empty(64, bin_edges(x))
    profile.update(x, y, images=20)
    return profile


def write_layer(run: Path, layer: str, expression: str, seed: int) -> dict[str, object]:
    """Write a layer's profile, front and Verilog; return its entry of the choice."""
    target = load_target(TARGET)
    profile = profile_of(expression, seed)
    datapath = lower(parse(expression), FixedFormat(10, 6), FixedFormat(10, 6), target, 300.0)
    r2 = profile.r2(parse(expression).numpy(profile.x))
    needed = resources(datapath.nodes, datapath.latency, target)
    points = [
        {"expression": text, "family": family, "r2": r2 - missed, "tail": 0.0, "error": 0.1, "cost": cost}
        for text, family, missed, cost in (
            ("x", "affine", 0.2, needed.cost / 4),
            ("0.9*x", "affine", 0.06, needed.cost / 2),
            ("0.9*x + 0.2", "table", 0.08, needed.cost / 1.5),
            (expression, "evolved", 0.0, needed.cost),
        )
    ]
    write_artefact(run / "profiles" / f"{layer}.json", "profile", None, "p" * 16, profile.to_json())
    front = {
        "layer": layer,
        "input": "s10f6",
        "output": "s10f6",
        "target": TARGET,
        "ceiling_r2": profile.ceiling_r2,
        "hypervolume": [1.0],
        "points": points,
    }
    write_artefact(run / "fronts" / f"{layer}.json", "front", 7, "f" * 16, front)
    top = "norm_" + layer.replace(".", "_")
    rtl = run / "packages" / top / "rtl"
    write_text(rtl / f"{top}.v", f"// a < b && c\nmodule {top};\nendmodule\n")
    write_text(rtl / f"{top}_core.v", f"// ends no </script> <!--\nmodule {top}_core;\nendmodule\n")
    return {
        "layer": layer,
        "top": top,
        "expression": expression,
        "family": "evolved" if "tanh" in expression else "clip-affine",
        "r2": r2,
        "ceiling_r2": profile.ceiling_r2,
        "resources": needed.to_json(),
        "folded": False,
        "datapath": json.loads(json.dumps(to_json(datapath))),
    }


def accuracy(correct: int, low: float, high: float) -> dict[str, object]:
    return {"correct": correct, "total": 2000, "percent": correct / 20, "interval": [low, high]}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two layers, for reading only; the second one's kernel failed in HLS."""
    folder = tmp_path_factory.mktemp("report") / "a run"
    settings = {"model": "builtin", "target": TARGET, "clock_mhz": 300.0, "seed": 7, "data": None}
    write_artefact(folder / "run.json", "run", 7, "r" * 16, {"settings": settings})
    layers = [write_layer(folder, *item, seed) for seed, item in enumerate(EXPRESSIONS.items())]
    write_artefact(folder / "choice.json", "choice", 7, "c" * 16, {"layers": layers})
    top1 = {
        "layernorm": accuracy(1821, 89.7, 92.2),
        "functions_only": accuracy(1003, 48.0, 52.3),
        "realigned": accuracy(1807, 89.0, 91.6),
        "bit_true": accuracy(1805, 88.9, 91.5),
    }
    body = {"refitted": ["blocks.0.attn.qkv"], "images": 2000, "test_fingerprint": "beef0123", "top1": top1}
    write_artefact(folder / "realign.json", "realign", 7, "a" * 16, body)
    packages = [
        {
            "top": layer["top"],
            "codes": 1024,
            "exhaustive": True,
            "verilator_bit_exact": True,
            "hls_bit_exact": exact,
            "protocol_ok": True,
            "torch_within_certificate": True,
            "lint_clean": True,
            "first_mismatch": None if exact else [-3, 17, 18],
            "tools": {"verilator": "5.048"},
            "latency_measured": layer["datapath"]["latency"],  # type: ignore[index]
            "passed": exact,
        }
        for layer, exact in zip(layers, (True, False), strict=True)
    ]
    write_artefact(folder / "verdict.json", "verdict", 7, "v" * 16, {"packages": packages})
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """The finished run, to be changed at will."""
    return shutil.copytree(finished, tmp_path / "a run")


@pytest.fixture
def profile() -> LayerProfile:
    return profile_of("2*tanh(x)", 3)


@pytest.fixture(scope="session")
def studied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of five trials, for reading only: one failed, one is not verified."""
    folder = tmp_path_factory.mktemp("studies") / "bits"
    head = {"sampler": "grid", "trials": None, "seed": 0, "storage": "postgresql://me:secret@host/db"}
    axes = {"input_bits": [bits for _, bits, _ in TRIALS], "within": [0.1]}
    write_artefact(
        folder / "study.json", "study", 0, "s" * 16, {"study": head, "run": {"images": 20}, "axes": axes}
    )
    for number, (accuracy, _, verified) in enumerate(TRIALS):
        if accuracy is None:
            continue
        run = shutil.copytree(finished, folder / "trials" / f"{number:04d}")
        if verified:
            verdict = json.loads((run / "verdict.json").read_text())
            for package in verdict["packages"]:
                package |= {"hls_bit_exact": True, "passed": True, "first_mismatch": None}
            (run / "verdict.json").write_text(json.dumps(verdict))
    write_table(folder / "results.parquet", [row_of(number, *trial) for number, trial in enumerate(TRIALS)])
    return folder


@pytest.fixture
def study(studied: Path, tmp_path: Path) -> Path:
    """The study, to be changed at will."""
    return shutil.copytree(studied, tmp_path / "bits")
