"""Which functions a network's layers may have, and what each adds to its loss."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwnorm.choose import knapsack
from hwnorm.choose.consumers import Reading, readings
from hwnorm.choose.effect import effects, gradients_of
from hwnorm.choose.network import NetworkLoss
from hwnorm.choose.offers import Offer, Shape, area_of, build, shapes
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.expression import Expression, parse
from hwnorm.network.fold import line_of
from hwnorm.profile import LayerProfile
from hwnorm.progress import progress_bar
from hwnorm.search.layer import Front
from hwnorm.search.price import Limits
from hwnorm.targets.target import Target
from hwnorm.workers import workers

#: So many functions of a layer are lowered, besides the one that folds.
LOWERED = 4
#: Losses are rounded to so many digits of the base's: what is told apart by less is decided by area.
DIGITS = 3


@dataclass(frozen=True)
class Survey:
    """Each layer's offers, and what each adds to the network's loss.

    ``losses`` are differences from ``base_loss``, the loss of the choice ``base``, each of one exchange.
    Both are a sequence a layer, as ``areas`` is.
    """

    offers: dict[str, list[Offer]]
    areas: list[list[float]]
    losses: list[list[float]]
    base: tuple[int, ...]
    base_loss: float

    def loss(self, selection: knapsack.Selection) -> float:
        """The network's loss with a selection, if exchanges add up; a KL divergence is never below zero."""
        return max(0.0, round(self.base_loss + selection.loss, 12))

    def functions(self, picks: Sequence[int]) -> dict[str, nn.Module]:
        """Layer -> the function that is picked, as the hardware computes it."""
        return {layer: module(found[i]) for (layer, found), i in zip(self.offers.items(), picks, strict=True)}


def module(offer: Offer) -> nn.Module:
    """The offer's function, bit-true; where it folds, in floating point like what it folds into."""
    return (
        parse(offer.expression).to_module() if offer.datapath is None else FixedPointFunction(offer.datapath)
    )


def survey(
    network: NetworkLoss,
    fronts: Mapping[str, Front],
    profiles: Mapping[str, LayerProfile],
    target: Target,
    clock_mhz: float,
    limits: Limits,
    operators: Collection[str] | None,
    jobs: int,
) -> Survey:
    """Find what functions of every layer do to the network, lower the useful ones, and find it out bit-true.

    What a function does is told to first order (:mod:`hwnorm.choose.effect`), on fewer images at first. Those
    that may be part of a good choice are lowered, and looked at again as the hardware computes them. What
    they choose at half of the largest useful area is measured in the network: its loss sets the scale.

    Losses are computed in float64, and rounded to :data:`DIGITS` digits of the base's before anything is
    decided by them: it hangs on no sum's last digits.

    Args:
        fronts, profiles: by layer.
        limits: of each kernel.
        operators: that functions may use; None for all.
        jobs: processes that price and lower; the result does not depend on it.
    """
    reading = readings(network) if operators is None or "rom" in operators else {}
    with workers(min(jobs, len(network.layers))) as pool:
        pricing = {
            layer: pool.submit(
                _shapes, fronts[layer], profiles[layer], reading.get(layer), target, clock_mhz, limits
            )
            for layer in network.layers
        }
        # Meanwhile this process finds what does not depend on them.
        gradients, coarse = gradients_of(network), network.coarse()
        found = {layer: future.result() for layer, future in pricing.items()}
        sketches = {
            layer: [_sketch(shape, fronts[layer]) for shape in tried] for layer, tried in found.items()
        }
        first = _rounded(_losses(coarse, gradients, sketches, "try functions"))
        kept = {layer: _kept(found[layer], losses) for layer, losses in zip(found, first, strict=True)}
        orders = [
            (layer, (str(found[layer][i].expression), found[layer][i].family, fronts[layer], profiles[layer]))
            for layer, indices in kept.items()
            for i in indices
        ]
        offers: dict[str, list[Offer]] = {layer: [] for layer in found}
        with progress_bar() as bar:
            task = bar.add_task("lower functions", total=len(orders))
            building = [pool.submit(build, *order, target, clock_mhz, limits) for _, order in orders]
            for (layer, _), future in zip(orders, building, strict=True):
                offer = future.result()
                if offer is not None:
                    offers[layer].append(offer)
                bar.advance(task)

    areas = [[area_of(offer.resources, target) for offer in of_layer] for of_layer in offers.values()]
    exact = {layer: [module(offer) for offer in of_layer] for layer, of_layer in offers.items()}
    alone = _losses(network, gradients, exact, "measure functions")
    base = _base(areas, _rounded(alone)).picks
    picked = {layer: exact[layer][i] for layer, i in zip(offers, base, strict=True)}
    measured = network.measure(picked, network.images.predict, torch.float64).loss
    step = _step(measured)
    (base_loss,) = knapsack.rounded([measured], step)
    of_base = [of_layer[i] for of_layer, i in zip(alone, base, strict=True)]
    ratio = base_loss / sum(of_base) if sum(of_base) > 0 else 1.0
    losses = [
        knapsack.rounded([ratio * (loss - at_base) for loss in of_layer], step)
        for of_layer, at_base in zip(alone, of_base, strict=True)
    ]
    return Survey(offers, areas, losses, base, base_loss)


def _shapes(
    front: Front,
    profile: LayerProfile,
    reading: Reading | None,
    target: Target,
    clock_mhz: float,
    limits: Limits,
) -> list[Shape]:
    """The functions to try for a layer (:func:`hwnorm.choose.offers.shapes`), that for its consumers too."""
    wanted = None if reading is None else reading.wanted(profile)
    return shapes(front, profile, wanted, target, clock_mhz, limits)


def _base(areas: Sequence[Sequence[float]], losses: Sequence[Sequence[float]]) -> knapsack.Selection:
    """What is chosen at half of the largest useful area."""
    best = knapsack.select(areas, losses)
    assert best is not None  # without a limit there always is one
    return knapsack.select(areas, losses, most_area=best.area / 2) or best


def _rounded(losses: Sequence[Sequence[float]]) -> list[list[float]]:
    """To :data:`DIGITS` digits of the least sum of one a layer."""
    step = _step(sum(map(min, losses)))
    return [knapsack.rounded(of_layer, step) for of_layer in losses]


def _step(loss: float) -> float:
    """The power of ten that gives a loss :data:`DIGITS` digits."""
    return float(10.0 ** (math.floor(math.log10(max(loss, 1e-9))) + 1 - DIGITS))


def _losses(
    network: NetworkLoss,
    gradients: Mapping[str, Sequence[Tensor]],
    candidates: Mapping[str, Sequence[nn.Module]],
    label: str,
) -> list[list[float]]:
    """What each function loses by itself, to first order: a sequence a layer."""
    with progress_bar() as bar:
        task = bar.add_task(label, total=sum(map(len, candidates.values())))
        moves = effects(network, gradients, candidates, lambda: bar.advance(task))
    return [network.loss_of(of_layer).tolist() for of_layer in moves.values()]


class _Saturating(nn.Module):
    """A function in floating point, within the ranges of its kernel's input and output."""

    def __init__(self, expression: Expression, front: Front) -> None:
        super().__init__()
        self.function, self.formats = expression.to_module(), (front.input, front.output)

    def forward(self, x: Tensor) -> Tensor:
        first, last = self.formats
        value: Tensor = self.function(x.clamp(first.low, first.high))
        return value.clamp(last.low, last.high)


def _sketch(shape: Shape, front: Front) -> nn.Module:
    """What stands for a function before it is lowered. One that folds has no kernel, and no ranges."""
    if line_of(shape.expression) is not None:
        return shape.expression.to_module()
    return _Saturating(shape.expression, front)


def _kept(tried: Sequence[Shape], losses: Sequence[float]) -> list[int]:
    """The one that folds, those that none beats in area and loss, and the best of the others."""
    order = sorted(range(1, len(tried)), key=lambda i: (losses[i], tried[i].area, i))
    beaten = {
        i
        for i in order
        if any(
            tried[j].area <= tried[i].area and losses[j] <= losses[i] and (losses[j], j) < (losses[i], i)
            for j in order
        )
    }
    ranked = [i for i in order if i not in beaten] + [i for i in order if i in beaten]
    return [0, *sorted(ranked[:LOWERED])]
