"""What a model wants to see: its input's size and timm's own data config."""

from __future__ import annotations

from typing import Any

from torch import nn

from hwnorm.builtin import model as builtin
from hwnorm.timm_compat import import_timm


def has_input_config(model: nn.Module) -> bool:
    """Whether a model tells what it wants to see: by timm's config, or by its patches' image size."""
    sized = getattr(getattr(model, "patch_embed", None), "img_size", None) is not None
    return sized or any(getattr(model, name, None) for name in ("pretrained_cfg", "default_cfg"))


def input_config(model: nn.Module) -> dict[str, Any]:
    """Return timm's data config of a model, corrected to the size and channels it was built with.

    The keys are those of ``timm.data.resolve_data_config``: ``input_size`` is (channels, height,
    width), ``mean`` and ``std`` have one value a channel, ``crop_pct`` and ``interpolation`` say how
    a picture is brought to that size. A model of 1 x 28 x 28 input gets Fashion-MNIST's statistics.
    """
    import_timm()
    from timm.data import resolve_data_config

    config: dict[str, Any] = resolve_data_config({}, model=model)
    channels, height, width = config["input_size"]
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None:
        channels = first.in_channels
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if size is not None:
        height, width = size
    config["input_size"] = (channels, height, width)
    if config["input_size"] == (1, 28, 28):
        config |= {"mean": (builtin.PIXEL_MEAN,), "std": (builtin.PIXEL_STD,), "crop_pct": 1.0}
    elif len(config["mean"]) != channels:
        for key in ("mean", "std"):
            config[key] = (sum(config[key]) / len(config[key]),) * channels
    return config
