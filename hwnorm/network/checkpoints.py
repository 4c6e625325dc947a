"""Tensors out of checkpoint files as training writes them, and under the names that a model has."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hwnorm.errors import InputError

#: What a file of weights may end in beside ``.safetensors``: all are what ``torch.save`` writes.
PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
#: Where training keeps a state dict in a checkpoint: what is found first is taken, as timm does.
_PLACES = ("state_dict_ema", "model_ema", "state_dict", "model")
#: What wrappers of modules put before every name.
_WRAPPERS = ("_orig_mod.", "module.", "model.")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name; ``told`` says what was taken of the file, where there was a choice."""

    tensors: Mapping[str, Tensor]
    told: str = ""


class _Inert:
    """Stands for whatever a checkpoint holds beside tensors: nothing is imported, nothing is called."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Nothing: lists and dicts of other types are filled while they are read."""

    extend = update = __setitem__ = append


def read_checkpoint(path: Path) -> Checkpoint:
    """The state dict in a file, with the prefixes of wrappers taken off.

    Of a pickle the tensors alone are read: anything else in it stays an inert object of no class of its own.

    Raises:
        InputError: the file cannot be read, is something else, or holds no or several state dicts.
    """
    if not path.name.endswith((".safetensors", *PICKLED)):
        others = ", ".join(PICKLED[1:])
        raise InputError(f"{path}: a weights file ends in .safetensors or {PICKLED[0]}, {others}")
    what = _what_else(path)
    if what is not None:
        raise InputError(f"{path}: cannot be read as weights: it is {what}")
    if path.suffix == ".safetensors":
        try:
            return _unwrapped(load_file(path), "")
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as a .safetensors state dict ({reason_of(error)})"
            ) from None
    return _chosen(path, _unpickled(path))


def _what_else(path: Path) -> str | None:
    """What a file is, if it is one of those that come in the place of weights."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        return "empty"
    if head.startswith(b"version https://git-lfs"):
        return "the pointer of Git LFS to them; `git lfs pull` fetches the file itself"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page, as a download that failed leaves it"
    return None


def _unpickled(path: Path) -> Any:
    def load() -> Any:
        return torch.load(path, map_location="cpu", weights_only=True)

    try:
        try:
            return load()
        except pickle.UnpicklingError:
            others = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            with torch.serialization.safe_globals([(_Inert, name) for name in others]):
                return load()
    except (
        OSError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        AttributeError,
        KeyError,
    ) as error:
        raise InputError(
            f"{path}: cannot be read as a {path.suffix} state dict ({reason_of(error)})"
        ) from None


def reason_of(error: BaseException) -> str:
    """One line of what a library says, without a terminal's codes, and with the reason where it has one."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error)).strip() or type(error).__name__
    reason = re.search(r"WeightsUnpickler error: ([^\n]+)", text)
    return (reason[1] if reason else text.splitlines()[0]).strip()


def _chosen(path: Path, found: Any) -> Checkpoint:
    """The state dict of what a file holds."""
    if isinstance(found, _Inert):
        raise InputError(
            f"{path}: holds a pickled object, such as a whole module; store its state_dict() alone"
        )
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}; a state dict of tensors was expected")
    told = ""
    places = [name for name in _PLACES if _is_state(found.get(name))]
    if not places and not _is_state(found):
        places = [name for name, value in found.items() if isinstance(name, str) and _is_state(value)]
        if len(places) > 1:
            raise InputError(
                f"{path}: holds state dicts {', '.join(places)}; store the one that is meant alone"
            )
    if places:
        found = found[places[0]]
        left = f", not {', '.join(places[1:])}" if places[1:] else ""
        mean = " (the moving average, as timm takes it)" if "ema" in places[0] else ""
        told = f"{places[0]}{mean}{left}" if mean or left else ""
    if not _is_state(found):
        kind = type(found).__name__
        raise InputError(f"{path}: holds a {kind} without tensors; a state dict of tensors was expected")
    return _unwrapped({name: value for name, value in found.items() if isinstance(value, Tensor)}, told)


def _is_state(found: Any) -> bool:
    """Whether it is a dict of tensors; other things beside them, such as a version, do not matter."""
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        return False
    tensors = sum(isinstance(value, Tensor) for value in found.values())
    return tensors > 0 and 2 * tensors >= len(found)


def _unwrapped(tensors: Mapping[str, Tensor], told: str) -> Checkpoint:
    """Names without what wrappers of modules put before all of them."""
    found, taken = dict(tensors), ""
    while (
        prefix := next((p for p in _WRAPPERS if found and all(n.startswith(p) for n in found)), None)
    ) is not None:
        found = {name[len(prefix) :]: value for name, value in found.items()}
        taken += prefix
    told = ", ".join(filter(None, (told, f"names without {taken}" if taken else "")))
    return Checkpoint(found, told)


def named(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors under the model's own names, by timm's filter for its family where they have others.

    Raises:
        InputError: the filter cannot take them.
    """
    names = model.state_dict().keys()
    return dict(tensors) if tensors.keys() == names else _converted(tensors, model, path)


def shaped(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The same, and in the model's own shapes where the filter knows how.

    Raises:
        InputError: the filter cannot take them.
    """
    found = named(tensors, model, path)
    fits = _fitting(found, model) == len(model.state_dict())
    return found if fits else _converted(found, model, path)


def _converted(tensors: Mapping[str, Tensor], model: nn.Module, path: Path) -> dict[str, Tensor]:
    convert = getattr(sys.modules.get(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is None:
        return dict(tensors)
    try:
        found = dict(convert(dict(tensors), model))
    except Exception as error:  # of timm's own, which were written for one publisher's files
        raise InputError(
            f"{path}: has other names or shapes than the model, and timm cannot convert them "
            f"({reason_of(error)})"
        ) from None
    return found if _fitting(found, model) > _fitting(tensors, model) else dict(tensors)


def _fitting(tensors: Mapping[str, Tensor], model: nn.Module) -> int:
    """How many of the model's tensors are there in their shape."""
    return sum(n in tensors and tensors[n].shape == own.shape for n, own in model.state_dict().items())
