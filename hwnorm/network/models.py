"""Open a trained model by name: the built-in one, or any that timm knows."""

from __future__ import annotations

import ast
import difflib
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.builtin import model as builtin
from hwnorm.errors import InputError
from hwnorm.network.checkpoints import Checkpoint, named, read_checkpoint, reason_of, shaped
from hwnorm.network.norms import example_images
from hwnorm.network.subnet import WIDE_ROWS, load_state, read_subnet, shape
from hwnorm.progress import err
from hwnorm.timm_compat import import_timm


def load_model(name: str, weights: Path | None, image_size: int | None = None, **kwargs: Any) -> nn.Module:
    """Build a model in evaluation mode, with its weights.

    Where the weights are a file, the model is built as they ask for: without a classifier if they have none,
    with as many classes as they have, and with the image size of their position embedding.

    Args:
        name: "builtin", a model name of timm (``timm/`` may stand before it), ``hf-hub:`` and a name
            there, or the path of a subnet's file (:mod:`hwnorm.network.subnet`), ``.json``.
        weights: a checkpoint (:func:`hwnorm.network.checkpoints.read_checkpoint`); None takes the weights
            that are shipped (built-in model) or that timm publishes.
        image_size: side of the images in pixels; None is what the weights were trained with. A position
            embedding is resampled.
        kwargs: passed on to ``timm.create_model``, e.g. ``img_size=224, num_classes=0``.

    Raises:
        InputError: timm does not know the name, the weights cannot be had or do not fit, a
            parameter is not finite, or the model cannot be set to the image size.
    """
    if name.endswith(".json"):
        if weights is not None or image_size is not None or kwargs:
            raise InputError(
                f"model {name}: a subnet's file says all of it; --weights, --image-size and --model-args go "
                "without it"
            )
        return _subnet(Path(name))
    if name == builtin.NAME:
        if kwargs:
            raise InputError(f"option --model-args: {', '.join(kwargs)}: the built-in model takes none")
        weights = weights or builtin.WEIGHTS
        model = builtin.build()
        load_weights(model, weights)
    elif weights is None:
        model = _create(name, pretrained=True, **kwargs)
    else:
        checkpoint = read_checkpoint(weights)
        model = _create(name, pretrained=False, **kwargs)
        wanted = _built_with(model, named(checkpoint.tensors, model, weights))
        if wanted.keys() - kwargs.keys():
            model = _create(name, pretrained=False, **(wanted | kwargs))
        _load(model, checkpoint, weights)
    _check_finite(model, weights or name)
    if image_size is not None:
        _resize(model, name, image_size)
    return model.eval()


def _subnet(path: Path) -> nn.Module:
    found = read_subnet(path)
    if found.model == builtin.NAME:
        model = builtin.build()
    else:
        model = _create(found.model, pretrained=False, **found.arguments)
    shape(model, found.width, found.head_dim, found.blocks, found.norms)
    load_state(model, path)
    _check_finite(model, path)
    setattr(model, WIDE_ROWS, found.wide)
    return model.eval()


def _built_with(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments with which a model takes the weights, where its defaults do not."""
    wanted: dict[str, Any] = {}
    own = model.state_dict()
    classifiers = (getattr(model, "pretrained_cfg", None) or {}).get("classifier")
    # A network that was distilled has two, of as many classes.
    for classifier in (classifiers,) if isinstance(classifiers, str) else classifiers or ():
        name = f"{classifier}.weight"
        if name not in own:
            continue
        if name not in state:
            wanted["num_classes"] = 0
        elif state[name].shape != own[name].shape:
            wanted["num_classes"] = len(state[name])
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
        raise InputError(
            f"option --image-size: model {name!r} cannot take {side} pixels ({reason_of(error)})"
        ) from None


def _create(name: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    timm = import_timm()
    # A hub's name is looked up there, or in its cache; timm's own may have the publisher before it.
    if not name.startswith("hf-hub:") and not timm.is_model(name.removeprefix("timm/").split(".")[0]):
        close = difflib.get_close_matches(name, [builtin.NAME, *timm.list_models()], n=3, cutoff=0.5)
        hint = f"closest: {', '.join(close)}" if close else "timm.list_models() lists them"
        raise InputError(f"model {name!r}: neither builtin nor a model of timm {timm.__version__}; {hint}")
    # One line of ours says it; the client's own retries say it a dozen times.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **kwargs)
    except Exception as error:  # a hub's client may raise anything where there is no network
        reason = reason_of(error)
        if _is_network(error):
            reason = "no network here"
        if not pretrained:
            raise InputError(f"model {name!r}: timm cannot build it ({reason})") from error
        if "No pretrained weights exist" in reason:
            raise InputError(
                f"model {name!r}: timm publishes no weights for it; give a file with --weights"
            ) from error
        raise InputError(
            f"model {name!r}: its published weights cannot be had ({reason}); give a file with --weights"
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
    """Load a checkpoint (:func:`hwnorm.network.checkpoints.read_checkpoint`); every key has to fit.

    Raises:
        InputError: the file cannot be read, or a key is missing, unexpected, or of another shape or kind.
    """
    _load(model, read_checkpoint(path), path)


def _load(model: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    found, expected = shaped(checkpoint.tensors, model, path), model.state_dict()
    for key, tensor in expected.items():
        if key not in found:
            raise InputError(f"{path}: no {key!r}, which the model needs with shape {tuple(tensor.shape)}")
        if found[key].shape != tensor.shape:
            raise InputError(
                f"{path}: {key!r} has shape {tuple(found[key].shape)}; the model needs {tuple(tensor.shape)}"
            )
        if tensor.is_floating_point() and not found[key].is_floating_point():
            held = str(found[key].dtype).removeprefix("torch.")
            raise InputError(f"{path}: {key!r} holds {held}; floating-point numbers are needed")
    for key in found:
        if key not in expected:
            raise InputError(f"{path}: unexpected {key!r}; the model has no parameter of that name")
    model.load_state_dict(found)
    if checkpoint.told:
        err.print(f"weights: {path}: {checkpoint.told}", highlight=False, soft_wrap=True)


def model_arguments(text: str) -> dict[str, Any]:
    """What ``patch_size=4,in_chans=1`` gives to ``timm.create_model``: numbers, truths, None, or text.

    Commas inside brackets part no arguments: ``img_size=(96,64)``.

    Raises:
        InputError: a part is no name with a value.
    """
    found: dict[str, Any] = {}
    for part in re.split(r",(?![^(\[{]*[)\]}])", text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or not name.isidentifier() or not value:
            raise InputError(
                f"option --model-args: {part.strip()!r}; NAME=VALUE was expected, as patch_size=4"
            )
        if name in found:
            raise InputError(f"option --model-args: {name} is given twice")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return found


def _check_finite(model: nn.Module, origin: Path | str) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{origin}: parameter {name!r} holds NaN or infinity; finite weights are needed")
