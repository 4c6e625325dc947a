"""What a function does to the network's output, to first order: without a forward pass of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hwnorm.choose.network import NetworkLoss
from hwnorm.network.norms import NormSite, first_tensor, in_precision, norm_affine, tapped
from hwnorm.network.refit import Student
from hwnorm.network.replacement import ChannelAffine, replace_norms

#: Random directions of each image's output.
DIRECTIONS = 2


@torch.no_grad()
def effects(
    network: NetworkLoss,
    gradients: Mapping[str, Sequence[Tensor]],
    candidates: Mapping[str, Sequence[nn.Module]],
    step: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """By norm how far each candidate in its place moves the output: (candidates, directions x images).

    The consumers of the norm are refitted to their own outputs, on the original's stream. What error they
    leave on images that the fit has not seen is met by the gradient of a random direction of the image's
    output (:meth:`NetworkLoss.directions`). :meth:`NetworkLoss.loss_of` tells what they lose.

    Args:
        gradients: :func:`gradients_of` the network.
        candidates: norm -> elementwise modules.
        step: is called after each.

    Returns:
        float64.
    """
    model = copy.deepcopy(network.exact)
    # Gamma and beta are in the weights that a fit begins with.
    plain: dict[str, nn.Module] = {name: nn.Tanh() for name in network.layers}
    folded = replace_norms(network.model, plain, example_inputs=network.around.example).double()
    teacher, weighing = network.recorded(torch.float64), network.weighing(torch.float64)
    batches = [in_precision(p, torch.float64) for p in (network.images.fit, network.images.predict)]
    student = Student(model, batches, network.around, fitted=1)
    found = {}
    for site in network.around.sites:
        student.replay.advance(site.name)
        places = list(site.consumers or (site.name,))
        norm = model.get_submodule(site.name)
        own = {name: network.exact.get_submodule(name) for name in places}
        *_, reads = student.replay.passes(places)
        wanted = {name: own[name](reads[name]) for name in places}
        moves = []
        for function in candidates[site.name]:
            model.set_submodule(site.name, _placed(site, norm, function))
            for name in site.consumers:
                model.set_submodule(name, copy.deepcopy(folded.get_submodule(name)))
            tried = copy.copy(student)
            tried.replay = student.replay.fork()
            tried.refit_norm(site, teacher, weighing)
            *_, reads = tried.replay.passes(places)
            errors = {name: model.get_submodule(name)(reads[name]) - wanted[name] for name in places}
            moves.append(_moves(errors, gradients))
            step()
        for name in (site.name, *site.consumers):
            model.set_submodule(name, network.exact.get_submodule(name))
        found[site.name] = torch.stack(moves)
    return found


def gradients_of(network: NetworkLoss) -> dict[str, list[Tensor]]:
    """Of the output's directions with respect to what stands behind each norm: float32, one a direction."""
    names = [name for site in network.around.sites for name in (site.consumers or (site.name,))]
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    with torch.enable_grad(), tapped(network.exact, names) as taps:
        output = first_tensor(network.exact(in_precision(network.images.predict, torch.float64)))
        for direction in network.directions(output.detach(), DIRECTIONS):
            total = (output * direction).sum()
            of = torch.autograd.grad(total, [taps[n] for n in names], retain_graph=True, allow_unused=True)
            for name, gradient in zip(names, of, strict=True):
                found[name].append(torch.zeros(()) if gradient is None else gradient.float())
    return found


def _placed(site: NormSite, norm: nn.Module, function: nn.Module) -> nn.Module:
    if site.consumers:
        return function
    return ChannelAffine(function, site.channels, *norm_affine(norm), site.axis).double()


def _moves(errors: Mapping[str, Tensor], gradients: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """Of each direction and image: (directions x images,)."""
    parts = []
    for i in range(DIRECTIONS):
        along = [(error * gradients[name][i]).flatten(1).sum(1) for name, error in errors.items()]
        parts.append(torch.stack(along).sum(0))
    return torch.cat(parts)
