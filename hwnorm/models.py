"""Open a trained model by name: the built-in one, or any that timm knows."""

from __future__ import annotations

import difflib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hwnorm.builtin import model as builtin
from hwnorm.errors import InputError
from hwnorm.timm_compat import import_timm


def load_model(name: str, weights: Path | None, **kwargs: Any) -> nn.Module:
    """Build a model in evaluation mode, with its weights.

    Args:
        name: "builtin", or a model name of timm.
        weights: a .safetensors or .pth file with a state dict; None takes the weights that are
            shipped (built-in model) or that timm publishes.
        kwargs: passed on to ``timm.create_model``, e.g. ``img_size=224, num_classes=0``.

    Raises:
        InputError: timm does not know the name, the weights cannot be had or do not fit, or a
            parameter is not finite.
    """
    if name == builtin.NAME:
        model = builtin.build()
        weights = weights or builtin.WEIGHTS
    else:
        model = _create(name, pretrained=weights is None, **kwargs)
    if weights is not None:
        load_weights(model, weights)
    _check_finite(model, weights or name)
    return model.eval()


def _create(name: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    timm = import_timm()
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, [builtin.NAME, *timm.list_models()], n=3, cutoff=0.5)
        hint = f"closest: {', '.join(close)}" if close else "timm.list_models() lists them"
        raise InputError(f"model {name!r}: neither builtin nor a model of timm {timm.__version__}; {hint}")
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **kwargs)
    except Exception as error:  # a hub's client may raise anything where there is no network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not pretrained:
            raise InputError(f"model {name!r}: timm cannot build it ({reason})") from error
        raise InputError(
            f"model {name!r}: its published weights cannot be had ({reason}); give a file with --weights"
        ) from error
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict from a .safetensors or .pth file into ``model``; every key has to fit.

    Raises:
        InputError: the file cannot be read, or a key is missing, unexpected or of another shape.
    """
    found = _read_state(path)
    expected = model.state_dict()
    for key, tensor in expected.items():
        if key not in found:
            raise InputError(f"{path}: no {key!r}, which the model needs with shape {tuple(tensor.shape)}")
        if found[key].shape != tensor.shape:
            raise InputError(
                f"{path}: {key!r} has shape {tuple(found[key].shape)}; the model needs {tuple(tensor.shape)}"
            )
    for key in found:
        if key not in expected:
            raise InputError(f"{path}: unexpected {key!r}; the model has no parameter of that name")
    model.load_state_dict(found)


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pth"):
        raise InputError(f"{path}: a weights file ends in .safetensors or .pth")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: cannot be read as a {path.suffix} state dict ({reason})") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: holds a {type(state).__name__}; a state dict of tensors was expected")
    return dict(state)


def _check_finite(model: nn.Module, origin: Path | str) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{origin}: parameter {name!r} holds NaN or infinity; finite weights are needed")
