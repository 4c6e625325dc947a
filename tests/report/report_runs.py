"""Finished runs that the report's tests read, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from run_folders import profile_artefact, put, verdict

from hwnorm.choose.choices import ChoicePoint, Choices, LayerChoices, PricedOffer
from hwnorm.cost.cost import resources
from hwnorm.expression import parse
from hwnorm.files import write_text
from hwnorm.fixed import FixedFormat
from hwnorm.integers.stored import CODES, StoredNetwork
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import Budget, Choice, Chosen
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.realign.realigned import Realigned
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import Emitted
from hwnorm.runs.products import CHOICE, CHOICES, FRONT, INTEGER, PACKAGES, PROFILE, REALIGNED, VERDICTS
from hwnorm.runs.seals import codes_seal, packages_seal, weights_seal
from hwnorm.search.front import Point
from hwnorm.search.layer import Front
from hwnorm.targets.target import load_target
from hwnorm.verify.verdict import Verdicts

TARGET = "xcup"


def profile_of(expression: str, seed: int) -> LayerProfile:
    generator = torch.Generator().manual_seed(seed)
    x = 1.3 * torch.randn(200, 64, generator=generator) + 0.2
    y = parse(expression).to_module()(x)
    y = y + 0.25 * torch.randn(y.shape, generator=generator)
    profile = LayerProfile.empty(64, bin_edges(x))
    profile.update(x, y, images=20)
    return profile


def add_layer(run: RunFolder, layer: str, expression: str, seed: int) -> Chosen:
    """Write a layer's profile, front and Verilog; return its entry of the choice."""
    target = load_target(TARGET)
    profile = profile_of(expression, seed)
    datapath = lower(parse(expression), FixedFormat(10, 6), FixedFormat(10, 6), target, 300.0)
    r2 = profile.r2(parse(expression).numpy(profile.x))
    needed = resources(datapath.nodes, datapath.latency, target)
    points = [
        Point(
            expression=text,
            family=family,
            r2=r2 - missed,
            r2_bit_true=r2 - missed,
            tail=0.0,
            error=0.1,
            lut=needed.lut,
            ff=needed.ff,
            dsp=needed.dsp,
            latency=datapath.latency,
            max_error_ulp=0.5,
            cost=cost,
        )
        for text, family, missed, cost in (
            ("x", "affine", 0.2, needed.cost / 4),
            ("0.9*x", "affine", 0.06, needed.cost / 2),
            ("0.9*x + 0.2", "table", 0.08, needed.cost / 1.5),
            (expression, "evolved", 0.0, needed.cost),
        )
    ]
    put(run, PROFILE, profile_artefact(profile, layer, seed), layer)
    front = Front(
        layer=layer,
        position=seed,
        input=datapath.input,
        output=datapath.output,
        target=TARGET,
        ceiling_r2=profile.ceiling_r2,
        hypervolume=(1.0,),
        points=tuple(points),
    )
    put(run, FRONT, front, layer)
    top = "norm_" + layer.replace(".", "_")
    rtl = run.package(top) / "rtl"
    write_text(rtl / f"{top}.v", f"// a < b && c\nmodule {top};\nendmodule\n")
    write_text(rtl / f"{top}_core.v", f"// ends no </script> <!--\nmodule {top}_core;\nendmodule\n")
    write_text(run.package(top) / "manifest.json", "{}\n")
    return Chosen(
        layer=layer,
        top=top,
        expression=expression,
        family="evolved" if "tanh" in expression else "clip-affine",
        r2=r2,
        r2_bit_true=r2,
        ceiling_r2=profile.ceiling_r2,
        resources=needed,
        datapath=datapath,
    )


def offer_of(chosen: Chosen, loss: float) -> PricedOffer:
    """The only offer of a layer."""
    told = {name: getattr(chosen, name) for name in ("expression", "family", "r2", "r2_bit_true")}
    return PricedOffer(
        area=chosen.resources.lut, loss=loss, resources=chosen.resources, datapath=chosen.datapath, **told
    )


def choose(
    run: RunFolder, layers: Sequence[Chosen], front: Sequence[ChoicePoint], built: ChoicePoint
) -> None:
    """Write the choices and the choice of these functions."""
    offers = tuple(LayerChoices(layer=c.layer, base=0, offers=(offer_of(c, 0.0),)) for c in layers)
    choices = Choices(
        loss="KL divergence, nats an image",
        images=256,
        measured_images=128,
        base_loss=0.125,
        front=tuple(front),
        layers=offers,
    )
    put(run, CHOICES, choices)
    figures = built.model_dump(exclude={"picks"})
    budget = Budget(total_area=None, max_loss=None, within=0.1)
    put(run, CHOICE, Choice(budget=budget, layers=tuple(layers), **figures))


def point(area: float, predicted: float, measured: float | None, agreement: float | None) -> ChoicePoint:
    return ChoicePoint(
        area=area, predicted_loss=predicted, measured_loss=measured, agreement=agreement, picks=(0, 0)
    )


def finish(run: RunFolder, layers: Sequence[Chosen], failed: str | None = None) -> None:
    """Write what follows from the choice: accuracies, packages and verdicts, one of them a failure."""
    top1 = {
        "layernorm": accuracy(1821, 89.7, 92.2),
        "functions_only": accuracy(1003, 48.0, 52.3),
        "realigned": accuracy(1807, 89.0, 91.6),
        "bit_true": accuracy(1805, 88.9, 91.5),
    }
    run.realigned_weights.write_bytes(b"weights")
    cosines = {"cosine": 0.99, "cosine_interval": (0.98, 1.0), "cosine_centred": 0.9}
    realigned = {
        "method": "closed form",
        "fit_images": 20,
        "fit_images_from": "20 images",
        "test_images": 2000,
        "test_images_from": "2000 images",
        "test_fingerprint": "beef0123",
        "seal": weights_seal(run.path),
        "top1": top1,
        "paired": {
            "functions_only": paired(860, 42, -43.18, -38.58, 0.0),
            "realigned": paired(44, 30, -1.55, 0.15, 0.1307),
            "bit_true": paired(47, 31, -1.68, 0.07, 0.0888),
        },
        "scores": {name: {"top1": found, "top5": found} | cosines for name, found in top1.items()},
        "affines": {},
        "fits": [],
        "epochs": [],
    }
    put(run, REALIGNED, Realigned.model_validate(realigned))
    built = [c for c in layers if c.datapath is not None]
    put(run, PACKAGES, Emitted(tops=tuple(c.top for c in layers), seal=packages_seal(run.path)))
    wrong = {"hls_bit_exact": False, "hls_mismatches": 1, "first_mismatch": (-3, 17, 18)}
    verdicts = [
        verdict(c.top, latency_measured=c.datapath.latency, **(wrong if c.top == failed else {}))
        for c in built
        if c.datapath is not None
    ]
    put(run, VERDICTS, Verdicts(packages=tuple(verdicts)))


def quantize(run: RunFolder) -> None:
    """Write a network in integers: two linear layers, and the scores of each step to it."""
    (run.path / CODES).write_bytes(b"codes")
    counts = {"layernorm": 1821, "bit_true": 1805, "weights": 1804, "activations": 1803, "integer": 1801}
    cosines = {"cosine": 0.99, "cosine_interval": (0.98, 1.0), "cosine_centred": 0.9}
    scores = {name: accuracy(count, 88.0, 92.0) for name, count in counts.items()}
    linear = {"kind": "IntegerLinear", "shift": 20, "residual": None, "lift": 0, "first": 0}
    network = {
        "seal": codes_seal(run.path),
        "mean": (0.5,),
        "std": (0.25,),
        "operations": [
            {"kind": "IntegerPatches", "out": "p", "format": "s8f7", "x": "images", "height": 4, "width": 4},
            linear | {"out": "embed", "format": "s16f11", "x": "p", "layer": "patch_embed"},
            linear | {"out": "head", "format": "s16f9", "x": "embed", "layer": "head"},
        ],
        "layers": [
            {"layer": "patch_embed", "rows": 64, "inputs": 16, "rows8": 16, "output": "s16f11", "left": 1e-4},
            {"layer": "head", "rows": 10, "inputs": 64, "rows8": 10, "output": "s16f9", "left": 0.025},
        ],
        "weight_bits": 10240,
        "buffers": {"activations": 3136, "stream": 9408},
        "fit_images": 1234,
        "epochs": [],
        "test_images": 2000,
        "test_images_from": "2000 images",
        "test_fingerprint": "cafe4567",
        "scores": {name: {"top1": found, "top5": found} | cosines for name, found in scores.items()},
        "paired": {
            name: paired(1821 - count + 30, 30, -1.9, -0.1, 0.0625)
            for name, count in counts.items()
            if name != "layernorm"
        },
    }
    put(run, INTEGER, StoredNetwork.model_validate(network))


def paired(lost: int, gained: int, low: float, high: float, p: float) -> dict[str, object]:
    difference = (gained - lost) / 20
    return {
        "lost": lost,
        "gained": gained,
        "difference": difference,
        "interval": [low, high],
        "mcnemar_p": p,
    }


def accuracy(correct: int, low: float, high: float) -> dict[str, object]:
    return {"correct": correct, "total": 2000, "percent": correct / 20, "interval": [low, high]}
