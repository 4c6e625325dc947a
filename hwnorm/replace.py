"""Swap norms for elementwise functions; gamma and beta fold into the linear layers that follow."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from hwnorm.errors import InputError
from hwnorm.expression import ExpressionModule
from hwnorm.fold import line_of
from hwnorm.norms import NormSite, find_norms


def replace_norms(model: nn.Module, functions: Mapping[str, nn.Module]) -> nn.Module:
    """Return a copy of ``model`` in which each named norm is its function, elementwise.

    The norm's gamma and beta fold into every linear layer that reads it, exactly:
    W' = W diag(gamma), b' = b + W beta. A function that is affine in x folds too: nothing is left of it.

    Raises:
        InputError: a name is no norm of the model, or others than linear layers read a norm.
    """
    sites = {site.name: site for site in find_norms(model)}
    for name in functions:
        if name not in sites:
            raise InputError(f"layer {name!r}: no norm of this model; its norms are {', '.join(sites)}")
        if not sites[name].consumers:
            raise InputError(
                f"layer {name!r}: its output is not read by linear layers alone, so its weight and bias "
                "cannot be folded; leave this norm as it is"
            )
    changed = copy.deepcopy(model)
    for name, function in functions.items():
        line = line_of(function.expression) if isinstance(function, ExpressionModule) else None
        _fold(changed, sites[name], line or (1.0, 0.0))
        changed.set_submodule(name, function if line is None else nn.Identity())
    return changed


@torch.no_grad()
def _fold(model: nn.Module, site: NormSite, line: tuple[float, float]) -> None:
    norm = model.get_submodule(site.name)
    assert isinstance(norm, nn.LayerNorm)
    gain, offset = line
    gamma = torch.ones(site.channels) if norm.weight is None else norm.weight
    beta = torch.zeros(site.channels) if norm.bias is None else norm.bias
    for name in site.consumers:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        # In float64, so that folding rounds once.
        weight = linear.weight.double()
        shift = weight @ (beta.double() + offset * gamma.double())
        bias = shift if linear.bias is None else linear.bias.double() + shift
        linear.bias = nn.Parameter(bias.to(linear.weight.dtype))
        linear.weight = nn.Parameter((weight * gamma.double() * gain).to(linear.weight.dtype))
