"""Spaces that others have searched, and the built-in network's."""

from __future__ import annotations

from typing import Any

#: By name the values of each axis. Quasar-ViT's spaces are those of its paper (arXiv 2407.18175, section 5);
#: ``deit`` goes from DeiT-T to DeiT-B (arXiv 2012.12877).
PRESETS: dict[str, dict[str, list[Any]]] = {
    "builtin": {
        "width": [72, 84, 96],
        "depth": [4, 5, 6],
        "heads": [1, 2, 3],
        "mlp": [0.25, 0.5, 1.0, 1.5, 2.0, 3.0],
        "ratio8": [0.0, 0.25, 0.5],
    },
    "quasar-small": {
        "width": [192, 216, 240],
        "depth": [12, 13, 14],
        "heads": [3, 4],
        "mlp": [3.5, 4.0],
        "ratio8": [0.0, 0.25, 0.5],
    },
    "quasar-large": {
        "width": [320, 384, 448],
        "depth": [12, 13, 14],
        "heads": [5, 6, 7],
        "mlp": [3.0, 3.5, 4.0],
        "ratio8": [0.0, 0.25, 0.5],
    },
    "deit": {
        "width": [192, 384, 576, 768],
        "depth": [12],
        "heads": [3, 6, 9, 12],
        "mlp": [2.0, 3.0, 4.0],
        "ratio8": [0.0, 0.25, 0.5],
    },
}
