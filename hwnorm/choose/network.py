"""What a choice costs the network: the distance of its output, its linear layers refitted on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.expression import ExpressionModule
from hwnorm.network.fold import line_of
from hwnorm.network.norms import NormSite, find_norms, observe
from hwnorm.network.replacement import ChannelAffine, replace_norms
from hwnorm.network.replay import Replay
from hwnorm.network.residual import Projection, find_projections
from hwnorm.network.ridge import USUAL_STRENGTH, fast_ridge, give_weights, weights_of
from hwnorm.network.sensitivity import refit_weights

#: So many tokens are looked at: half of them to refit the layers, half to measure the loss.
TOKENS = 50_176
#: A layer that sees fewer rows than this many times its inputs (a head behind pooling) is drawn to its
#: weights in proportion: what it were fitted to else would be the noise.
ENOUGH_ROWS = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one network on images that its fits have not seen.

    ``loss`` is the mean KL divergence of its class probabilities from the original's in nats, or for
    a network without a head the squared error of its features over their variance. ``agreement`` is
    the share of images with the original's top-1 class in per cent; None without a head.
    """

    loss: float
    agreement: float | None


class NetworkLoss:
    """Measures networks whose norms are functions.

    Each layer around a replaced norm refits itself, in closed form, when the forward pass reaches it:
    the readers of the norm to the original's pre-activations, the output projection after it to the
    original's residual stream, each seeing the network as the fits before have left it. That is what
    re-alignment does (:func:`hwnorm.realign.closed_form.realign`), in one forward pass of fewer images.

    Args:
        model: the original, in evaluation mode; stays as it is.
        pixels: calibration images, float32 (n, C, H, W) (:func:`calibration`).
        layers: the norms that functions stand in for.
    """

    def __init__(self, model: nn.Module, pixels: Tensor, layers: Sequence[str]) -> None:
        self.model, self.pixels = model, pixels
        found = find_norms(model)
        self.sites = {site.name: site for site in found if site.name in layers}
        #: A network without norms whose linear layers have taken gamma and beta up, and no more.
        self.folded = replace_norms(model, {name: nn.Tanh() for name in self.sites})
        # Where the norms of queries and keys stay, the one before them is the last that is replaced.
        self.projections = {
            name if name in self.sites else projection.before: projection
            for name, projection in find_projections(model, found).items()
        }
        #: Rows of a batch that belong to the fit; the others measure.
        self.fitted = 0.5 if len(self.pixels) > 1 else 1.0
        linears = [name for site in self.sites.values() for name in site.consumers]
        linears += [projection.name for projection in self.projections.values()]
        #: What the tokens of a refitted layer weigh; those that are not there weigh alike.
        self.weights = refit_weights(model, self.pixels[: self.part(len(pixels))], linears)
        self._record()

    def part(self, rows: int) -> int:
        """So many of a batch belong to the fit."""
        return max(1, int(rows * self.fitted))

    @torch.no_grad()
    def _record(self) -> None:
        """What readers read and where the residual stream is in the original, and its output."""
        self.read: dict[str, Tensor] = {}
        self.stream: dict[str, Tensor] = {}

        def into(where: dict[str, Tensor], name: str) -> Any:
            return lambda module, args: where.__setitem__(name, args[0])

        handles = [
            self.model.get_submodule(name).register_forward_pre_hook(into(self.read, name))
            for site in self.sites.values()
            for name in site.consumers
        ] + [
            self.model.get_submodule(name).register_forward_pre_hook(into(self.stream, name))
            for name in {p.after for p in self.projections.values()}
        ]
        try:
            self._output = self.model(self.pixels)
        finally:
            for handle in handles:
                handle.remove()

    def coarse(self) -> NetworkLoss:
        """The same on every fourth image: a quarter of the work."""
        return NetworkLoss(self.model, self.pixels[::4], list(self.sites))

    # --- the loss ------------------------------------------------------------------------------------

    @property
    def has_head(self) -> bool:
        """Whether the output is logits."""
        classifier = getattr(self.model, "get_classifier", lambda: self.model)()
        return not isinstance(classifier, nn.Identity)

    def compare(self, output: Tensor) -> Measured:
        """How far an output for the same images is from the original's."""
        start = int(len(output) * self.fitted) % len(output)
        wanted, got = self._output[start:].double(), output[start:].double()
        if not self.has_head:
            spread = (wanted - wanted.mean(0)).square().sum()
            return Measured(float((got - wanted).square().sum() / spread), None)
        log_p, log_q = wanted.log_softmax(1), got.log_softmax(1)
        loss = (log_p.exp() * (log_p - log_q)).sum(1).mean()
        agreement = (wanted.argmax(1) == got.argmax(1)).double().mean()
        return Measured(float(loss), 100 * float(agreement))

    def measure(self, functions: Mapping[str, nn.Module]) -> Measured:
        """The loss with these functions: norm -> elementwise module."""
        return Student(self, functions).measure()


class Student:
    """A network with functions for norms, which refits itself; single functions can be exchanged."""

    def __init__(self, loss: NetworkLoss, functions: Mapping[str, nn.Module]) -> None:
        self.loss = loss
        self.model = replace_norms(loss.model, functions)
        self.order = list(loss.sites)
        self._folded = self._weights(self.model, self.order)
        self._replay = Replay(self.model, loss.pixels, self.order)

    @torch.no_grad()
    def measure(self) -> Measured:
        """Refit every layer, and measure."""
        self._restore(self._folded)
        with self._refitting(self.order):
            output = self._replay.run()
        return self.loss.compare(output)

    @torch.no_grad()
    def exchange(self, layer: str, function: nn.Module) -> Measured:
        """Measure with another function at ``layer``, all layers from there on refitted.

        Layers have to come in the order of execution. The student is left as it was.
        """
        at = self.order.index(layer)
        own = self.model.get_submodule(layer)
        later = self.order[at:]
        fitted = self._weights(self.model, later)
        other = self.loss.folded
        line = isinstance(function, ExpressionModule) and line_of(function.expression) is not None
        if line or isinstance(own, ChannelAffine):
            other = replace_norms(self.loss.model, {layer: function})
            function = other.get_submodule(layer)
        try:
            self._restore({name: self._folded[name] for name in fitted})
            self._restore(self._weights(other, [layer]))
            self.model.set_submodule(layer, function)
            with self._refitting(later):
                output = self._replay.run()
        finally:
            self.model.set_submodule(layer, own)
            self._restore(fitted)
        return self.loss.compare(output)

    def advance(self, layer: str) -> None:
        """Carry the activations to ``layer``, so that what comes before is not computed again."""
        self._replay.advance(layer)

    # --- refitting -----------------------------------------------------------------------------------

    @contextmanager
    def _refitting(self, layers: Sequence[str]) -> Iterator[None]:
        before: dict[str, Tensor] = {}
        handles = []

        def on(name: str, hook: Any) -> None:
            handles.append(self.model.get_submodule(name).register_forward_pre_hook(hook))

        for layer in layers:
            for name in self.loss.sites[layer].consumers:
                on(name, self._to_pre_activations(name))
            projection = self.loss.projections.get(layer)
            if projection is not None:
                on(projection.before, lambda module, args, p=projection: before.update({p.before: args[0]}))
                on(projection.name, self._to_stream(projection, before))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _to_pre_activations(self, name: str) -> Any:
        original = self.loss.model.get_submodule(name)
        read = self.loss.read[name]
        return lambda module, args: self._refit(name, module, args[0], lambda part: original(read[:part]))

    def _to_stream(self, projection: Projection, before: Mapping[str, Tensor]) -> Any:
        after = self.loss.stream[projection.after]

        def lacking(part: int) -> Tensor:
            stream = before[projection.before]
            return (after.reshape(stream.shape)[:part] - stream[:part]) / projection.scale

        return lambda module, args: self._refit(projection.name, module, args[0], lacking)

    def _refit(self, name: str, linear: nn.Module, x: Tensor, target: Any) -> None:
        """Refit a linear layer on the rows that belong to the fit."""
        if not isinstance(linear, nn.Linear):
            return  # it keeps what has folded into it
        part = self.loss.part(len(x))
        rows = x[:part].reshape(-1, x.shape[-1])
        weight, count = self.loss.weights.get(name), float(len(rows))
        if weight is not None:
            count /= float(weight.square().mean())  # of rows that weigh alike
            weight = weight.repeat(len(rows) // len(weight))
        enough = count / (ENOUGH_ROWS * rows.shape[1])
        strength = USUAL_STRENGTH * max(1.0, 1.0 / enough)
        wanted = target(part).reshape(len(rows), -1)
        give_weights(linear, fast_ridge(rows, wanted, strength, weight, weights_of(linear)))

    # --- weights -------------------------------------------------------------------------------------

    def _weights(self, model: nn.Module, layers: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """Weight and bias of the layers that are refitted for these norms."""
        names: list[str] = []
        for layer in layers:
            names += self.loss.sites[layer].consumers
            if layer in self.loss.projections:
                names.append(self.loss.projections[layer].name)
        linears = {name: model.get_submodule(name) for name in names}
        return {name: (linear.weight, linear.bias) for name, linear in linears.items()}

    def _restore(self, weights: Mapping[str, tuple[Any, Any]]) -> None:
        for name, (weight, bias) in weights.items():
            linear = self.model.get_submodule(name)
            linear.weight, linear.bias = weight, bias


def calibration(model: nn.Module, images: ImageSet) -> Tensor:
    """The first images, as many as make :data:`TOKENS`: float32 (n, C, H, W)."""
    sites, tokens = find_norms(model), 1

    def count(site: NormSite) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            nonlocal tokens
            tokens = max(tokens, args[0][0].numel() // site.channels)

        return hook

    handles = [model.get_submodule(site.name).register_forward_pre_hook(count(site)) for site in sites]
    observe(model, handles)
    wanted = images.limited(max(4, TOKENS // tokens))
    return torch.cat([pixels for pixels, _ in wanted.batches(100)])
