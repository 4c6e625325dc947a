"""Run folders that tests make by hand: artefacts that belong together, as stages would write them."""

from __future__ import annotations

from pathlib import Path

import torch

from hwnorm.artefact import A
from hwnorm.choose.offers import NOTHING
from hwnorm.files import digest
from hwnorm.network.choice import Budget, Choice, Chosen
from hwnorm.profile import LayerProfile, Profile, bin_edges
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import Product
from hwnorm.runs.settings import RunSettings
from hwnorm.verify.verdict import Verdict


def begun(folder: Path, **settings: object) -> RunFolder:
    """A run that has begun."""
    run = RunFolder.create(folder, RunSettings(**settings), force=False)
    run.start()
    return run


def put(run: RunFolder, product: Product[A], artefact: A, layer: str | None = None) -> None:
    """Write an artefact as if it had been made of what lies in the folder now."""
    known = {need: need for need in product.needs if need != "target"}
    run.write(product, artefact, run.made_from(product, None, layer, **known), layer)


def put_alone(run: RunFolder, product: Product[A], artefact: A) -> None:
    """Write an artefact whose origins are no longer there."""
    run.write(product, artefact, {"settings": digest([getattr(run.settings, n) for n in product.settings])})


def choice_of(*layers: Chosen) -> Choice:
    """A choice that nothing was measured of."""
    budget = Budget(total_area=None, max_loss=None, within=0.1)
    return Choice(
        budget=budget, area=0.0, predicted_loss=0.0, measured_loss=None, agreement=None, layers=layers
    )


def straight(layer: str, expression: str = "0.5*x") -> Chosen:
    """A function that folds: nothing is built."""
    r2 = {"r2": 0.8, "r2_bit_true": 0.8, "ceiling_r2": 0.9}
    return Chosen(
        layer=layer,
        top=f"hwnorm_{layer}",
        expression=expression,
        family="affine",
        resources=NOTHING,
        datapath=None,
        **r2,
    )


def some_profile(channels: int = 32) -> LayerProfile:
    """Of random tokens whose norm is a tanh."""
    x = torch.randn(64, channels, generator=torch.Generator().manual_seed(0))
    profile = LayerProfile.empty(channels, bin_edges(x))
    profile.update(x, 1.4 * torch.tanh(x), images=8)
    return profile


def profile_artefact(profile: LayerProfile, layer: str, position: int = 0) -> Profile:
    """What capture writes of a profile."""
    told = {"layer": layer, "position": position, "affine": "folded into the layers that read it"}
    return Profile.model_validate(told | profile.to_json())


def verdict(top: str, **changes: object) -> Verdict:
    """The verdict on a package that passed every check, but for the changes."""
    passed = {
        "top": top,
        "codes": 1024,
        "exhaustive": True,
        "lint_clean": True,
        "lint_message": "",
        "verilator_bit_exact": True,
        "verilator_mismatches": 0,
        "comb_differing": 0,
        "first_mismatch": None,
        "latency_expected": 1,
        "latency_measured": 1,
        "full_rate": True,
        "protocol_ok": True,
        "protocol_message": "",
        "hls_bit_exact": True,
        "hls_mismatches": 0,
        "torch_within_certificate": True,
        "torch_max_error_ulp": 0.5,
        "formal": "not tried",
        "formal_counterexample": None,
        "tools": {"verilator": "5.048"},
    }
    return Verdict.model_validate(passed | changes)
