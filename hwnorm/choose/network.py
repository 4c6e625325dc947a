"""What a choice costs the network: the distance of its output, its linear layers refitted on the way."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.expression import ExpressionModule
from hwnorm.network.fold import line_of
from hwnorm.network.norms import NormSite, find_norms, first_tensor, in_precision, observe
from hwnorm.network.output_loss import Measured, OutputLoss, has_head
from hwnorm.network.refit import Around, Student, Weighing
from hwnorm.network.replacement import replace_norms, with_functions
from hwnorm.network.residual import Projection
from hwnorm.network.ridge import ENOUGH_ROWS
from hwnorm.network.sensitivity import WEIGHED, refit_weights

#: So many tokens are looked at: half of them to refit the layers, half to predict losses.
TOKENS = 25_088


@dataclass(frozen=True, slots=True)
class Calibration:
    """Training images: to refit layers, to predict losses, and to measure choices.

    Float32 (n, C, H, W) each, or what else the network takes, (n, ...), numbers of tokens int64.
    """

    fit: Tensor
    predict: Tensor
    measure: Tensor

    @classmethod
    def of(cls, model: nn.Module, images: ImageSet) -> Calibration:
        """The first images, as many as make :data:`TOKENS`, and as many others again.

        Where there are too few images, a quarter each and the rest; of one or two what there is, again.

        Raises:
            InputError: the model has no norm.
        """
        wanted = max(4, TOKENS // _tokens(model, images.example()))
        count = min(wanted // 2, max(1, len(images) // 4))
        pixels = torch.cat([part for part, _ in images.limited(4 * count).batches(100)])
        fit, predict, measure = pixels[:count], pixels[count : 2 * count], pixels[2 * count :]
        return cls(fit, predict if len(predict) else fit, measure if len(measure) else fit)

    @property
    def unseen(self) -> int:
        """So many images neither a fit nor a prediction has seen: those to measure on."""
        return 0 if self.measure is self.fit else len(self.measure)


def _tokens(model: nn.Module, example: Tensor) -> int:
    """Of one image, at the norm that sees most."""
    sites, tokens = find_norms(model, example_inputs=example), 1

    def count(site: NormSite) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            nonlocal tokens
            tokens = max(tokens, args[0][0].numel() // site.channels)

        return hook

    handles = [model.get_submodule(site.name).register_forward_pre_hook(count(site)) for site in sites]
    observe(model, handles, example_inputs=example)
    return tokens


class Recorded:
    """What the original has at all places where a network is refitted, for one batch.

    Implements :class:`hwnorm.network.refit.Teacher`.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module, pixels: Tensor, around: Around) -> None:
        self.model = model
        self.inputs: dict[str, Tensor] = {}

        def into(name: str) -> Any:
            return lambda module, args: self.inputs.__setitem__(name, args[0])

        # Norms that nothing linear reads are fitted to themselves.
        names = [name for site in around.sites for name in (site.consumers or (site.name,))]
        names += [projection.after for projection in around.projections.values()]
        handles = [model.get_submodule(name).register_forward_pre_hook(into(name)) for name in set(names)]
        try:
            model(pixels)
        finally:
            for handle in handles:
                handle.remove()

    def reads(self, names: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
        return iter([self.inputs])

    def stream(self, projection: Projection) -> Iterator[Tensor]:
        return iter([self.inputs[projection.after]])


class NetworkLoss(OutputLoss):
    """Measures networks whose norms are functions.

    Each layer around a replaced norm refits itself, in closed form, when the forward pass reaches it: the
    same fits as those of re-alignment (:mod:`hwnorm.network.refit`), on fewer images.

    What decides is computed in float64 (``exact``): in float32 the losses of one choice differ by 1 % from
    machine to machine, as small errors of ill-conditioned fits add up through the layers.

    Args:
        model: the original, in evaluation mode; stays as it is.
        images: the calibration images; the first of them trace the network.
        layers: the norms that functions stand in for.

    Raises:
        InputError: the model has no norm.
    """

    def __init__(self, model: nn.Module, images: Calibration, layers: Sequence[str]) -> None:
        super().__init__(has_head(model))
        self.model, self.images = model, images
        self.exact = copy.deepcopy(model).double().requires_grad_(False)
        self.around = Around.of(model, layers, images.fit[:2])
        linears = [name for site in self.around.sites for name in site.consumers]
        linears += [projection.name for projection in self.around.projections.values()]
        #: What the tokens of a refitted layer weigh; those that are not there weigh alike.
        pixels = in_precision(images.fit[:WEIGHED], torch.float64)
        self.weights = refit_weights(self.exact, pixels, linears)
        self._recorded: dict[torch.dtype, Recorded] = {}

    def coarse(self) -> NetworkLoss:
        """The same with fits to half of the images."""
        images = replace(self.images, fit=self.images.fit[::2])
        return NetworkLoss(self.model, images, self.layers)

    @property
    def layers(self) -> list[str]:
        """The norms in the order of execution."""
        return [site.name for site in self.around.sites]

    def original(self, dtype: torch.dtype) -> nn.Module:
        """The original in a precision."""
        return self.exact if dtype == torch.float64 else self.model

    def recorded(self, dtype: torch.dtype) -> Recorded:
        """What the original has on the images of the fits."""
        if dtype not in self._recorded:
            pixels = in_precision(self.images.fit, dtype)
            self._recorded[dtype] = Recorded(self.original(dtype), pixels, self.around)
        return self._recorded[dtype]

    def weighing(self, dtype: torch.dtype) -> Weighing:
        """Tokens weigh by their place, and none are held out."""
        count = len(self.images.fit)

        def tokens(name: str, i: int) -> Tensor | None:
            found = self.weights.get(name)
            return None if found is None else found.to(dtype).repeat(count)

        return Weighing(lambda i: False, tokens, enough=ENOUGH_ROWS)

    def student(self, functions: Mapping[str, nn.Module], dtype: torch.dtype) -> nn.Module:
        """The network with these functions, nothing refitted: norm -> elementwise module."""
        # A line folds; others keep their own precision, which is none of the network's.
        folded = {name: function if _is_line(function) else nn.Tanh() for name, function in functions.items()}
        replaced = replace_norms(self.model, folded, example_inputs=self.around.example)
        return with_functions(replaced.to(dtype), functions).requires_grad_(False)

    @torch.no_grad()
    def measure(
        self, functions: Mapping[str, nn.Module], unseen: Tensor, dtype: torch.dtype = torch.float32
    ) -> Measured:
        """Refit every layer, and measure on images that no fit has seen, like the calibration's."""
        batches = [in_precision(pixels, dtype) for pixels in (self.images.fit, unseen)]
        student = Student(self.student(functions, dtype), batches, self.around, fitted=1)
        for site in self.around.sites:
            student.refit(site, self.recorded(dtype), self.weighing(dtype))
        *_, output = student.replay.outputs()
        return self.compare(output, first_tensor(self.original(dtype)(batches[1])))


def _is_line(function: nn.Module) -> bool:
    return isinstance(function, ExpressionModule) and line_of(function.expression) is not None
