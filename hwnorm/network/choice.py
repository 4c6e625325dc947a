"""A choice: one function for each norm layer, and its datapath where there is something to build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact


@dataclass(frozen=True)
class Chosen:
    """The function of one layer and its hardware; ``top`` is the name of its Verilog module.

    An affine function has no datapath: its gain and offset fold into the linear layers that read the
    norm, and nothing is left to build. ``family`` is that of the search's rivals.
    """

    layer: str
    top: str
    expression: str
    family: str
    r2: float
    r2_bit_true: float
    ceiling_r2: float
    resources: Resources
    datapath: Datapath | None

    @property
    def folded(self) -> bool:
        """Whether there is nothing to build."""
        return self.datapath is None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return vars(self) | {
            "resources": self.resources.to_json(),
            "folded": self.folded,
            "datapath": None if self.datapath is None else to_json(self.datapath),
        }


def read_choice(path: Path) -> list[Chosen]:
    """Read ``choice.json``, in the order of execution.

    Raises:
        InputError: it is missing or damaged.
    """
    data = read_artefact(path, "choice")
    try:
        return [_chosen(dict(layer)) for layer in data["layers"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}); choose again") from None


def functions_digest(chosen: Sequence[Chosen]) -> str:
    """Hash of what a choice's functions compute: choices that differ in hardware alone have the same one."""
    return digest(
        [
            [c.layer, c.expression]
            if c.datapath is None
            else [
                c.layer,
                c.expression,
                str(c.datapath.input),
                str(c.datapath.output),
                digest(c.datapath.evaluate(c.datapath.input.codes()).tobytes()),
            ]
            for c in chosen
        ]
    )


def _chosen(layer: dict[str, Any]) -> Chosen:
    folded, path = layer.pop("folded"), layer.pop("datapath")
    if folded != (path is None):
        raise ValueError(f"layer {layer.get('layer')}: folded {folded}, and its datapath says otherwise")
    used = Resources(**layer.pop("resources"))
    return Chosen(**layer, resources=used, datapath=None if path is None else from_json(path))
