"""A trained supernet as files: its largest subnet, which is a model, and what its other subnets need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hwnorm.artefact import Artefact, Part
from hwnorm.errors import InputError
from hwnorm.files import digest, write_whole
from hwnorm.graph.graph import Graph
from hwnorm.graph.read import read_graph
from hwnorm.network.subnet import read_subnet, weights_file
from hwnorm.supernet.extract import extract
from hwnorm.supernet.slices import Groups, reordered
from hwnorm.supernet.space import Space
from hwnorm.supernet.supernet import Ordering, Supernet

#: In a trained supernet's folder: its largest subnet, what was done, orders and scales.
SUBNET, RECORD, PARTS = "subnet.json", "supernet.json", "supernet.safetensors"
_SCALE = "scale/"


class StoredMeasure(Part):
    """As :class:`hwnorm.network.output_loss.Measured`."""

    loss: float
    agreement: float | None


class StoredEpoch(Part):
    """As :class:`hwnorm.supernet.train.Epoch`."""

    largest: StoredMeasure
    smallest: StoredMeasure


class StoredAxes(Part):
    """As :class:`hwnorm.supernet.space.Space`."""

    width: list[int]
    depth: list[int]
    heads: list[int]
    mlp: list[float]
    ratio8: list[float]
    order: list[int]


class SupernetFile(Artefact):
    """How a supernet was trained, and what each epoch came to.

    Attributes:
        recipe: as :class:`hwnorm.supernet.train.Recipe`.
        space: what it was trained for; other subnets were never looked at.
        images: that it was trained on.
        parts: hash of :data:`PARTS`.
    """

    KIND = "supernet"

    recipe: dict[str, Any]
    space: StoredAxes
    images: int
    epochs: list[StoredEpoch]
    parts: str


def write_supernet(
    folder: Path,
    supernet: Supernet,
    space: Space,
    model: nn.Module,
    of: dict[str, Any],
    seed: int,
    **told: Any,
) -> None:
    """Write a trained supernet, its record last.

    Args:
        space: whose largest subnet is all of it, and has no scales.
        model: the module that the supernet was read from.
        of: ``model`` and ``arguments`` of :class:`hwnorm.network.subnet.SubnetFile`.
        told: fields of :class:`SupernetFile` but for ``parts`` and ``space``.
    """
    largest = space.largest
    made = extract(model, supernet.view(largest), largest, supernet.groups.head_dim, supernet.bits(largest))
    (folder / RECORD).unlink(missing_ok=True)
    made.module.half()
    made.write(folder / SUBNET, seed, of)
    tensors = supernet.ordering.tensors() | {"blocks": torch.tensor(space.order)}
    tensors |= {f"{_SCALE}{name}": value.contiguous() for name, value in supernet.scales.items()}
    write_whole(folder / PARTS, lambda beside: save_file(tensors, beside))
    axes = {name: list(value) for name, value in vars(space).items()}
    told |= {"space": axes, "parts": digest(folder / PARTS)}
    SupernetFile.model_validate(told).write(
        folder / RECORD, seed, {"weights": digest(weights_file(folder / SUBNET))}
    )


def read_record(folder: Path) -> SupernetFile:
    """How the supernet of a folder was trained.

    Raises:
        InputError: there is none, or a damaged one.
    """
    return SupernetFile.read(folder / RECORD, "`hwnorm supernet train SPACE.toml` writes one")


def read_supernet(folder: Path, model: nn.Module, teacher: Graph) -> tuple[Supernet, tuple[int, ...]]:
    """A trained supernet, and the order of its blocks.

    Args:
        model: its largest subnet, as its file is loaded.
        teacher: the original's operations.

    Raises:
        InputError: files that do not belong together, or to the original.
    """
    record = read_record(folder)
    path = folder / PARTS
    if not path.is_file() or digest(path) != record.parts:
        raise InputError(f"{path}: is not what {RECORD} was written with; train again")
    read_subnet(folder / SUBNET)
    tensors = load_file(path)
    blocks = tuple(tensors.pop("blocks").tolist())
    scales = {name.removeprefix(_SCALE): v for name, v in tensors.items() if name.startswith(_SCALE)}
    ordering = Ordering.from_tensors({k: v for k, v in tensors.items() if not k.startswith(_SCALE)})
    graph = read_graph(model)
    groups, original = Groups.read(graph), Groups.read(teacher)
    if original.sizes != groups.sizes:
        raise InputError(f"{folder / SUBNET}: its sizes are not the original's; train again")
    ordered = reordered(teacher, original, ordering.channels)
    return Supernet(graph, ordered, groups, ordering, scales, trained=True), blocks
