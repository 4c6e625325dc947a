"""A choice: one function for each norm layer, and its datapath where there is something to build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import computed_field, model_validator

from hwnorm.artefact import Artefact, Part
from hwnorm.cost.cost import Resources
from hwnorm.datapath.serial import DatapathField
from hwnorm.files import digest
from hwnorm.names import LayerName, TopName


class Chosen(Part):
    """The function of one layer and its hardware; ``top`` is the name of its Verilog module.

    An affine function has no datapath: its gain and offset fold into the linear layers that read the
    norm, and nothing is left to build. ``family`` is that of the search's rivals.
    """

    layer: LayerName
    top: TopName
    expression: str
    family: str
    r2: float
    r2_bit_true: float
    ceiling_r2: float
    resources: Resources
    datapath: DatapathField | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def folded(self) -> bool:
        """Whether there is nothing to build."""
        return self.datapath is None

    @model_validator(mode="before")
    @classmethod
    def _folded_follows(cls, data: Any) -> Any:
        """Files say ``folded`` too; it follows from the datapath."""
        if isinstance(data, dict) and "folded" in data:
            said, path = data["folded"], data.get("datapath")
            if said != (path is None):
                raise ValueError(f"folded is {said}, and its datapath says otherwise")
            return {name: value for name, value in data.items() if name != "folded"}
        return data


class Budget(Part):
    """What a choice keeps: an area, a loss, or neither; then it stays near the least loss (``within``)."""

    total_area: float | None
    max_loss: float | None
    within: float


class Choice(Artefact):
    """One function a layer, in the order of execution, and what the network loses by them."""

    KIND = "choice"

    budget: Budget
    area: float
    predicted_loss: float
    measured_loss: float | None
    agreement: float | None
    layers: tuple[Chosen, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        # Folders are called by tops, and some file systems do not tell case apart.
        for what, names in (
            ("layers", [c.layer for c in self.layers]),
            ("tops", [c.top.lower() for c in self.layers]),
        ):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"two {what} are called {twice[0]!r}")
        return self


def read_choice(path: Path) -> list[Chosen]:
    """The functions in a ``choice.json``, in the order of execution.

    Raises:
        InputError: it is missing or damaged.
    """
    return list(Choice.read(path, "choose again").layers)


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
