"""Put functions in the place of norms; what they leave of the affine folds or stays, and is told."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.expression import Expression, ExpressionModule, parse
from hwnorm.files import digest
from hwnorm.network.choice import Chosen, functions_digest, read_choice
from hwnorm.network.fold import fold_affine, line_of
from hwnorm.network.norms import (
    ExampleInputs,
    NormSite,
    device_of,
    find_norms,
    norm_affine,
    per_channel,
    plain,
)

#: The file of the re-aligned weights, beside the choice that they belong to.
WEIGHTS = "realigned.safetensors"

#: What a choice may be: a run folder or its ``choice.json``, what is in that, or a function for each
#: norm by its name: text, an expression, a datapath, or any elementwise module.
Choice = Path | str | Sequence[Chosen] | Mapping[str, "str | Expression | Datapath | nn.Module"]


class ChannelAffine(nn.Module):
    """An elementwise function, then weight and bias a channel, for a norm that nothing linear follows.

    Args:
        function: elementwise.
        weight, bias: (channels,); None stands for ones and zeros.
        axis: where the channels are, -1 or 1.
        dtype: of those that are not given.
    """

    def __init__(
        self,
        function: nn.Module,
        channels: int,
        weight: Tensor | None,
        bias: Tensor | None,
        axis: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.function, self.axis = function, axis
        ones, zeros = torch.ones(channels, dtype=dtype), torch.zeros(channels, dtype=dtype)
        self.weight = nn.Parameter(ones if weight is None else weight.detach().clone())
        self.bias = nn.Parameter(zeros if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(x)
        scaled: Tensor = y * per_channel(self.weight, y, self.axis)
        return scaled + per_channel(self.bias, y, self.axis)

    def extra_repr(self) -> str:
        return f"channels={len(self.weight)}, axis={self.axis}"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of one norm.

    ``affine`` tells what its weight and bias became. ``whole`` says that the function itself was affine
    and folded with them: nothing is left of the norm.
    """

    layer: str
    function: str
    affine: str
    whole: bool


def replace(
    model: nn.Module, choice: Choice, *, fixed: bool = False, example_inputs: ExampleInputs | None = None
) -> nn.Module:
    """Return a copy of ``model`` in which each chosen norm is its function.

    The result is an ordinary module in the state (training or evaluation), on the device and in the precision
    of ``model`` (of one that ``torch.compile`` returned, of the module in it: compile the result): it can be
    trained, stored with ``state_dict``, and exported with ``torch.export`` and to ONNX. Weight and
    bias of a norm fold into the layers that read it, exactly; where others read it too, they stay as an
    affine a channel behind the function. A function that is affine in x folds away whole.

    Args:
        model: any module; stays as it is.
        choice: a function for each norm that is to go (:data:`Choice`).
        fixed: compute what the hardware computes, bit for bit (gradients are those of the expression,
            straight through the rounding). Needs datapaths: a run's choice, or a mapping to them.
        example_inputs: what the model takes, where timm's data config does not tell: a tensor, or a tuple
            of forward's positional arguments.

    Raises:
        InputError: a name is no norm of the model, there is no datapath where ``fixed`` needs one, or nothing
            tells what the model takes.
    """
    return replace_norms(model, functions_of(choice, fixed), example_inputs=example_inputs)


def realigned(
    model: nn.Module, folder: Path | str, *, fixed: bool = False, example_inputs: ExampleInputs | None = None
) -> nn.Module:
    """The re-aligned network of a run folder, or of a picked point of a sweep.

    Args:
        model: the network that the run began with; stays as it is.
        folder: with ``choice.json`` and ``realigned.safetensors``.
        fixed: as for :func:`replace`.
        example_inputs: as for :func:`replace`.

    Raises:
        InputError: a file is missing or damaged, the weights belong to another choice, or do not fit the
            model.
    """
    chosen = read_choice(Path(folder) / "choice.json")
    path = Path(folder) / WEIGHTS
    again = f"`hwnorm realign {folder}` makes them anew"
    try:
        with safe_open(path, "pt") as file:
            told = (file.metadata() or {}).get("choice")
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as weights ({error}); {again}") from None
    if told != digest(functions_digest(chosen)):
        raise InputError(f"{path}: are weights for other functions than those of choice.json; {again}")
    student = replace(model, chosen, fixed=fixed, example_inputs=example_inputs)
    try:
        student.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit the model ({' '.join(str(error).split())[:200]})") from None
    return student


def functions_of(choice: Choice, fixed: bool) -> dict[str, nn.Module]:
    """Norm name -> elementwise module, float or bit-true.

    Raises:
        InputError: a choice that cannot be read, or has no datapath where ``fixed`` needs one.
    """
    if isinstance(choice, str | Path):
        path = Path(choice)
        choice = read_choice(path / "choice.json" if path.is_dir() else path)
    if not isinstance(choice, Mapping):
        # A layer whose function folds away whole has no datapath.
        choice = {chosen.layer: chosen.datapath or chosen.expression for chosen in choice}
    return {layer: _module(layer, function, fixed) for layer, function in choice.items()}


def _module(layer: str, function: Any, fixed: bool) -> nn.Module:
    if isinstance(function, nn.Module):
        return function
    if isinstance(function, Datapath):
        return FixedPointFunction(function) if fixed else parse(function.expression).to_module()
    expression = parse(function) if isinstance(function, str) else function
    if not isinstance(expression, Expression):
        raise InputError(f"layer {layer!r}: {type(function).__name__} given; a function was expected")
    if fixed and line_of(expression) is None:
        raise InputError(
            f"layer {layer!r}: an expression has no bits; bit-true replacement needs its datapath"
        )
    return expression.to_module()


def replace_norms(
    model: nn.Module, functions: Mapping[str, nn.Module], *, example_inputs: ExampleInputs | None = None
) -> nn.Module:
    """:func:`replace` with modules.

    Raises:
        InputError: a name is no norm of the model.
    """
    model = plain(model)
    changed = copy.deepcopy(model)
    for site, function in _placed(model, functions, example_inputs):
        gamma, beta = norm_affine(model.get_submodule(site.name))
        if not site.consumers:
            function = ChannelAffine(function, site.channels, gamma, beta, site.axis, _dtype_of(model))
        else:
            readers = [changed.get_submodule(name) for name in site.consumers]
            fold_affine(readers, gamma, beta)
            line = _line(function)
            if line is not None and _takes_shift(readers, line[1]):
                fold_affine(readers, *(torch.full((site.channels,), value) for value in line))
                function = nn.Identity()
        changed.set_submodule(site.name, function.to(device_of(model)))
        parent = changed.get_submodule(site.name.rpartition(".")[0])
        if isinstance(parent, nn.TransformerEncoderLayer):
            # Its fused inference computes LayerNorms, whatever stands there; this keeps it from that.
            parent.activation_relu_or_gelu = 0
    return changed


def replaced(
    model: nn.Module, functions: Mapping[str, nn.Module], *, example_inputs: ExampleInputs | None = None
) -> list[Replaced]:
    """What :func:`replace_norms` does with each norm, in the order of execution.

    Raises:
        InputError: a name is no norm of the model.
    """
    found = []
    model = plain(model)
    for site, function in _placed(model, functions, example_inputs):
        line = _line(function)
        readers = [model.get_submodule(name) for name in site.consumers]
        whole = bool(readers) and line is not None and _takes_shift(readers, line[1])
        text = str(function.expression) if hasattr(function, "expression") else type(function).__name__
        affine = f"{site.affine}, the function too" if whole else site.affine
        found.append(Replaced(site.name, text, affine, whole))
    return found


def with_functions(student: nn.Module, functions: Mapping[str, nn.Module]) -> nn.Module:
    """A copy of a network whose norms are replaced already, with other functions in their places."""
    changed = copy.deepcopy(student)
    for name, function in functions.items():
        at, function = changed.get_submodule(name), function.to(device_of(student))
        if isinstance(at, ChannelAffine):
            at.function = function
        elif not isinstance(at, nn.Identity):  # which folded away whole
            changed.set_submodule(name, function)
    return changed


def _placed(
    model: nn.Module, functions: Mapping[str, nn.Module], example_inputs: ExampleInputs | None
) -> list[tuple[NormSite, nn.Module]]:
    sites = find_norms(model, example_inputs=example_inputs)
    names = [site.name for site in sites]
    for name in functions:
        if name not in names:
            raise InputError(f"layer {name!r}: no norm of this model; its norms are {', '.join(names)}")
    return [(site, functions[site.name]) for site in sites if site.name in functions]


def _dtype_of(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _line(function: nn.Module) -> tuple[float, float] | None:
    """Gain and offset of a function that is affine in x."""
    if isinstance(function, FixedPointFunction):
        return line_of(parse(function.expression))
    return line_of(function.expression) if isinstance(function, ExpressionModule) else None


def _takes_shift(readers: Sequence[nn.Module], shift: float) -> bool:
    """Zeros that a convolution pads with are of the function's output: they have no offset."""
    padded = any(isinstance(r, nn.Conv2d) and r.padding not in ("valid", (0, 0)) for r in readers)
    return shift == 0.0 or not padded
