"""The head of a classifier, refitted to the teacher's class probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.network.norms import ExampleInputs, example_arguments, first_tensor, tapped
from hwnorm.network.ridge import STRENGTHS, USUAL_STRENGTH, give_weights, weights_of, with_ones

#: Steps of L-BFGS for each strength, each from the solution of the one before.
STEPS = 50


@torch.no_grad()
def head_of(model: nn.Module, *, example_inputs: ExampleInputs | None = None) -> str | None:
    """The linear layer that puts out the logits of a model with ``num_classes``; None without.

    Args:
        example_inputs: as for :func:`hwnorm.network.norms.find_norms`.

    Raises:
        InputError: nothing tells what the model takes.
    """
    classes = getattr(model, "num_classes", 0)
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    with tapped(model, layers) as taps:
        output = first_tensor(model(*example_arguments(model, example_inputs)))
    return next((name for name, tap in taps.items() if tap is output), None)


@torch.no_grad()
def refit_head(
    layer: nn.Linear, fit: Sequence[tuple[Tensor, Tensor]], held: Sequence[tuple[Tensor, Tensor]]
) -> float:
    """Draw a head's class probabilities to the teacher's: least Kullback-Leibler divergence.

    Multinomial logistic regression towards soft labels, convex in the weights, with a ridge penalty on the
    step from the weights that the layer has (those that suit the logits in least squares): by L-BFGS. Of
    :data:`~hwnorm.network.ridge.STRENGTHS` the one is taken that does best on what is held out, if any does
    better than no step; the fit is then made with all.

    Args:
        fit, held: of some images each the layer's input (n, inputs) and the teacher's logits (n, classes).

    Returns:
        What is left on the held-out images, or else on the fit: the divergence, as a share of that of
        the mean probabilities, which a head that saw nothing would give.
    """
    start = weights_of(layer).double()
    seen = _Images(fit, start)
    if not held:
        solution = seen.solve(USUAL_STRENGTH, start)
        give_weights(layer, solution)
        return seen.divergence(solution) / seen.spread
    unseen = _Images(held, start)
    best, least, solution = None, unseen.divergence(start), start
    for strength in sorted(STRENGTHS, reverse=True):
        solution = seen.solve(strength, solution)
        divergence = unseen.divergence(solution)
        if divergence < least:
            best, least = strength, divergence
    if best is not None:
        give_weights(layer, _Images([*fit, *held], start).solve(best, solution))
    return least / unseen.spread


class _Images:
    """What a head sees of some images, and the probabilities wanted."""

    def __init__(self, batches: Sequence[tuple[Tensor, Tensor]], start: Tensor) -> None:
        self.start = start
        self.x = with_ones(torch.cat([x for x, _ in batches]).double())
        self.log_wanted = torch.cat([logits for _, logits in batches]).double().log_softmax(1)
        self.scale = float(self.x.square().mean())

    @property
    def spread(self) -> float:
        """Mean divergence of the mean probabilities from those that are wanted, in nats."""
        mean = self.log_wanted.exp().mean(0, keepdim=True).log().expand_as(self.log_wanted)
        return max(1e-30, float(F.kl_div(mean, self.log_wanted, log_target=True, reduction="batchmean")))

    def divergence(self, weights: Tensor) -> float:
        """Mean Kullback-Leibler divergence with these weights (inputs + 1, classes), in nats."""
        return float(self._divergence(weights))

    def _divergence(self, weights: Tensor) -> Tensor:
        log_found = (self.x @ weights).log_softmax(1)
        return F.kl_div(log_found, self.log_wanted, log_target=True, reduction="batchmean")

    def solve(self, strength: float, guess: Tensor) -> Tensor:
        """The weights of the least divergence with this penalty, relative to the inputs' mean square."""
        weights = guess.clone().requires_grad_()
        method = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            method.zero_grad()
            penalty = 0.5 * strength * self.scale * (weights - self.start).square().sum()
            total = self._divergence(weights) + penalty
            total.backward()  # type: ignore[no-untyped-call]
            return total

        with torch.enable_grad():
            method.step(loss)  # type: ignore[no-untyped-call]
        return weights.detach()
