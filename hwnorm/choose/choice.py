"""A choice: one datapath for each norm layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.errors import InputError
from hwnorm.files import read_artefact
from hwnorm.targets.cost import Resources


@dataclass(frozen=True)
class Chosen:
    """The function of one layer and its hardware; ``top`` is the name of its Verilog module."""

    layer: str
    top: str
    expression: str
    r2: float
    r2_bit_true: float
    ceiling_r2: float
    resources: Resources
    datapath: Datapath

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return vars(self) | {
            "resources": self.resources.to_json(),
            "datapath": to_json(self.datapath),
        }


def read_choice(path: Path) -> list[Chosen]:
    """Read ``choice.json``, in the order of execution.

    Raises:
        InputError: it is missing or damaged.
    """
    data = read_artefact(path, "choice")
    try:
        return [
            Chosen(
                **layer
                | {"resources": Resources(**layer["resources"]), "datapath": from_json(layer["datapath"])}
            )
            for layer in data["layers"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}); choose again") from None
