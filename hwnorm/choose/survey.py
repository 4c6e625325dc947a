"""Which functions a network's layers may have, and what each adds to its loss."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hwnorm.choose import knapsack
from hwnorm.choose.network import Measured, NetworkLoss, Student
from hwnorm.choose.offers import Offer, Shape, area_of, build, shapes
from hwnorm.choose.readers import wanted
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


@dataclass(frozen=True)
class Survey:
    """Each layer's offers, and what each adds to the network's loss.

    ``losses`` are differences from ``base_loss``, the loss of the choice ``base``, each by one exchange.
    Both are a sequence a layer, as ``areas`` is.
    """

    offers: dict[str, list[Offer]]
    areas: list[list[float]]
    losses: list[list[float]]
    base: tuple[int, ...]
    base_loss: float

    def loss(self, selection: knapsack.Selection) -> float:
        """The network's loss with a selection, if exchanges add up; a KL divergence is never below zero."""
        return max(0.0, self.base_loss + selection.loss)

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
    """Try functions of every layer in the network, lower the useful ones, and measure these bit-true.

    First every shape is tried in floating point, on a quarter of the images, where all other layers have
    one of middling R2.
    Those that may be part of a good choice are lowered. They are measured again as the hardware computes
    them, where all other layers have what the first losses choose at half of the largest useful area.

    Args:
        fronts, profiles: by layer.
        limits: of each kernel.
        operators: that functions may use; None for all.
        jobs: processes that lower; the result does not depend on it.
    """
    for_readers = wanted(network, profiles) if operators is None or "rom" in operators else {}
    found = {
        layer: shapes(fronts[layer], profiles[layer], for_readers.get(layer), target, clock_mhz, limits)
        for layer in network.sites
    }
    modules = {layer: [_sketch(shape, fronts[layer]) for shape in tried] for layer, tried in found.items()}
    start = {layer: modules[layer][_middling(tried, profiles[layer])] for layer, tried in found.items()}
    _, first = _deltas(network.coarse(), start, modules, "try functions")
    kept = {layer: _kept(tried, first[layer]) for layer, tried in found.items()}

    orders = [
        (layer, i, (str(found[layer][i].expression), found[layer][i].family, fronts[layer], profiles[layer]))
        for layer, indices in kept.items()
        for i in indices
    ]
    offers: dict[str, list[Offer]] = {layer: [] for layer in found}
    before: dict[str, list[float]] = {layer: [] for layer in found}
    with workers(min(jobs, len(orders))) as pool, progress_bar() as bar:
        task = bar.add_task("lower functions", total=len(orders))
        building = [pool.submit(build, *order, target, clock_mhz, limits) for _, _, order in orders]
        for (layer, i, _), future in zip(orders, building, strict=True):
            offer = future.result()
            if offer is not None:
                offers[layer].append(offer)
                before[layer].append(first[layer][i])
            bar.advance(task)

    areas = [[area_of(offer.resources, target) for offer in of_layer] for of_layer in offers.values()]
    estimated = list(before.values())
    best = knapsack.select(areas, estimated)
    assert best is not None  # without a limit there always is one
    base = knapsack.select(areas, estimated, most_area=best.area / 2) or best
    exact = {layer: [module(offer) for offer in of_layer] for layer, of_layer in offers.items()}
    picked = {layer: exact[layer][i] for layer, i in zip(offers, base.picks, strict=True)}
    at_base, second = _deltas(network, picked, exact, "measure functions")
    return Survey(offers, areas, list(second.values()), base.picks, at_base.loss)


def deltas(
    network: NetworkLoss,
    base: Mapping[str, nn.Module],
    candidates: Mapping[str, Sequence[nn.Module]],
    step: Callable[[], None] = lambda: None,
) -> tuple[Measured, dict[str, list[float]]]:
    """The loss of ``base``, and what it changes by where one layer is exchanged for each candidate.

    Every layer has a function meanwhile, and all linear layers from the exchange on are refitted: so
    the changes add up better than those of single functions in the original network would.

    Args:
        base: layer -> function.
        candidates: layer -> functions to try.
        step: is called after each.
    """
    student = Student(network, base)
    at_base = student.measure()
    found: dict[str, list[float]] = {}
    for layer in student.order:
        student.advance(layer)
        found[layer] = []
        for function in candidates[layer]:
            found[layer].append(student.exchange(layer, function).loss - at_base.loss)
            step()
    return at_base, found


def _deltas(
    network: NetworkLoss,
    base: Mapping[str, nn.Module],
    candidates: Mapping[str, Sequence[nn.Module]],
    label: str,
) -> tuple[Measured, dict[str, list[float]]]:
    with progress_bar() as bar:
        task = bar.add_task(label, total=sum(map(len, candidates.values())))
        return deltas(network, base, candidates, lambda: bar.advance(task))


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


def _middling(tried: Sequence[Shape], profile: LayerProfile) -> int:
    """Of the functions that do not fold (if there are any) the one of median R2."""
    built = list(range(1, len(tried))) or [0]
    built.sort(key=lambda i: profile.r2(tried[i].expression.numpy(profile.x)))
    return built[len(built) // 2]


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
