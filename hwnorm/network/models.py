"""Open a trained model by name: the built-in one, or any that timm knows."""

from __future__ import annotations

import difflib
import logging
import math
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hwnorm.builtin import model as builtin
from hwnorm.errors import InputError
from hwnorm.network.norms import example_images
from hwnorm.timm_compat import import_timm


def load_model(name: str, weights: Path | None, image_size: int | None = None, **kwargs: Any) -> nn.Module:
    """Build a model in evaluation mode, with its weights.

    Where the weights are a file, the model is built as they ask for: without a classifier if they have none,
    with as many classes as they have, and with the image size of their position embedding.

    Args:
        name: "builtin", or a model name of timm.
        weights: a .safetensors or .pth file with a state dict; None takes the weights that are
            shipped (built-in model) or that timm publishes.
        image_size: side of the images in pixels; None is what the weights were trained with. A position
            embedding is resampled.
        kwargs: passed on to ``timm.create_model``, e.g. ``img_size=224, num_classes=0``.

    Raises:
        InputError: timm does not know the name, the weights cannot be had or do not fit, a
            parameter is not finite, or the model cannot be set to the image size.
    """
    if name == builtin.NAME:
        weights = weights or builtin.WEIGHTS
        model = builtin.build()
    elif weights is None:
        model = _create(name, pretrained=True, **kwargs)
    else:
        model = _create(name, pretrained=False, **kwargs)
        wanted = _built_with(model, _read_state(weights))
        if wanted.keys() - kwargs.keys():
            model = _create(name, pretrained=False, **(wanted | kwargs))
    if weights is not None:
        load_weights(model, weights)
    _check_finite(model, weights or name)
    if image_size is not None:
        _resize(model, name, image_size)
    return model.eval()


def _built_with(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments with which a model takes the weights, where its defaults do not."""
    wanted: dict[str, Any] = {}
    own = model.state_dict()
    classifier = (getattr(model, "pretrained_cfg", None) or {}).get("classifier")
    if isinstance(classifier, str) and f"{classifier}.weight" in own:
        head = state.get(f"{classifier}.weight")
        if head is None:
            wanted["num_classes"] = 0
        elif head.shape != own[f"{classifier}.weight"].shape:
            wanted["num_classes"] = len(head)
    patches: Any = getattr(model, "patch_embed", None)
    at, mine = state.get("pos_embed"), own.get("pos_embed")
    if at is not None and mine is not None and at.shape != mine.shape and hasattr(patches, "patch_size"):
        others = mine.shape[-2] - patches.num_patches
        side = math.isqrt(max(at.shape[-2] - others, 0))
        if side * side + others == at.shape[-2]:
            wanted["img_size"] = side * patches.patch_size[0]
    return wanted


def _resize(model: Any, name: str, side: int) -> None:
    try:
        if hasattr(model, "set_input_size"):
            model.set_input_size(img_size=side)
        else:  # convolutions take any size; what comes in is told by the data config
            model.pretrained_cfg = dict(model.pretrained_cfg) | {"input_size": (3, side, side)}
        with torch.no_grad():
            model.eval()(example_images(model))
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"option --image-size: model {name!r} cannot take {side} pixels ({reason})"
        ) from None


def _create(name: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    timm = import_timm()
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, [builtin.NAME, *timm.list_models()], n=3, cutoff=0.5)
        hint = f"closest: {', '.join(close)}" if close else "timm.list_models() lists them"
        raise InputError(f"model {name!r}: neither builtin nor a model of timm {timm.__version__}; {hint}")
    # One line of ours says it; the client's own retries say it a dozen times.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **kwargs)
    except Exception as error:  # a hub's client may raise anything where there is no network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not pretrained:
            raise InputError(f"model {name!r}: timm cannot build it ({reason})") from error
        if "No pretrained weights exist" in reason:
            raise InputError(
                f"model {name!r}: timm publishes no weights for it; give a file with --weights"
            ) from error
        what = "no network here" if _is_network(error) else reason
        raise InputError(
            f"model {name!r}: its published weights cannot be had ({what}); give a file with --weights"
        ) from error
    return model


def _is_network(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is that of a connection which could not be made."""
    while error is not None:
        names = {cls.__name__ for cls in type(error).__mro__}
        if names & {
            "ConnectionError",
            "ConnectError",
            "URLError",
            "gaierror",
            "OfflineModeIsEnabled",
            "Timeout",
        }:
            return True
        error = error.__cause__ or error.__context__
    return False


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
