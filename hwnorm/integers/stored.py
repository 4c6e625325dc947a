"""``integer.json`` and ``integer.safetensors``: an integer network, its codes and what is known of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_type_hints

import numpy as np
from pydantic import Field, create_model, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file

from hwnorm.artefact import Artefact, Part
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import DatapathField
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers import operations as ops
from hwnorm.integers.network import IntegerNetwork, Pixels
from hwnorm.realign.finetune import Epoch
from hwnorm.realign.realigned import Counted, NetworkScores, Paired

#: The file of the codes, beside the artefact.
CODES = "integer.safetensors"
#: Networks that have scores, from the original to integers, as people call them.
STEPS = {
    "layernorm": "the original",
    "bit_true": "functions, re-aligned, bit-true",
    "weights": "weights quantized",
    "activations": "weights and activations quantized",
    "closed_form": "all integers, before fine-tuning",
    "integer": "all integers",
}
#: Fields of operations that are arrays, and so in that file, as ``tensor/field``.
_ARRAYS: dict[type[ops.IntegerOperation], dict[str, type[np.integer[Any]]]] = {
    ops.IntegerLinear: {"weight": np.int8, "bits": np.uint8, "bias": np.int64, "multiplier": np.int32},
    ops.IntegerAffine: {"bias": np.int64, "multiplier": np.int32},
    ops.IntegerNorm: {"gamma": np.int64, "beta": np.int64},
    ops.Table: {"codes": np.int32},
}


def _record(kind: type[ops.IntegerOperation]) -> type[Part]:
    """The model of an operation's fields but for arrays, and its name as ``kind``."""
    hints = get_type_hints(kind)
    given: dict[str, Any] = {"kind": (Literal[kind.__name__], kind.__name__)}
    for field in fields(kind):
        if field.name not in _ARRAYS.get(kind, {}):
            given[field.name] = (DatapathField if hints[field.name] is Datapath else hints[field.name], ...)
    return create_model(f"{kind.__name__}Record", __base__=Part, **given)


_RECORDS = {
    kind.__name__: _record(kind)
    for kind in (
        ops.IntegerPatches,
        ops.Table,
        ops.IntegerLinear,
        ops.IntegerFunction,
        ops.IntegerNorm,
        ops.IntegerAffine,
        ops.IntegerScores,
        ops.Exponentials,
        ops.IntegerContext,
        ops.IntegerPool,
    )
}
#: An operation as it is stored.
Record: Any = Annotated[Union[tuple(_RECORDS.values())], Field(discriminator="kind")]  # noqa: UP007


class LayerBits(Part):
    """Of one linear layer: its rows, how many have 8 bits, and the share of its target's variance left."""

    layer: str
    rows: int
    inputs: int
    rows8: int
    output: FixedFormat
    left: float

    @property
    def weight_bits(self) -> int:
        """Of the layer's weights."""
        return self.inputs * (8 * self.rows8 + 4 * (self.rows - self.rows8))


class StoredNetwork(Artefact):
    """``operations`` are in order of execution; ``scores`` are by network (:data:`STEPS`).

    ``weight_bits`` are of all weights, ``buffers`` the bytes of the largest tensors. ``epochs`` are those of
    fine-tuning; what ``layers`` have left is from before it.
    """

    KIND = "integer"

    seal: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    operations: tuple[Record, ...]
    layers: tuple[LayerBits, ...]
    weight_bits: int
    buffers: dict[str, int]
    fit_images: int
    epochs: tuple[Epoch, ...]
    test_images: int
    test_images_from: str
    test_fingerprint: str
    scores: dict[str, NetworkScores]
    paired: dict[str, Paired]

    @property
    def steps(self) -> dict[str, str]:
        """The networks of :data:`STEPS` that have scores, with their labels."""
        return {name: label for name, label in STEPS.items() if name in self.scores}

    @property
    def top1(self) -> dict[str, Counted]:
        """Accuracies by network; empty where there are no classes."""
        return {name: score.top1 for name, score in self.scores.items() if score.top1 is not None}

    @model_validator(mode="after")
    def _each_reads_what_is_there(self) -> Self:
        known = {"images"}
        for record in self.operations:
            for field in ("x", "q", "k", "p", "v", "residual"):
                name = getattr(record, field, None)
                if name is not None and name not in known:
                    raise ValueError(f"{record.out!r} reads {name!r}, which nothing before it makes")
            if record.out in known:
                raise ValueError(f"two operations make {record.out!r}")
            known.add(record.out)
        return self


def records(network: IntegerNetwork) -> tuple[list[Part], dict[str, np.ndarray]]:
    """A network's operations as they are stored, and its arrays."""
    found: list[Part] = []
    arrays: dict[str, np.ndarray] = {}
    for op in network.operations:
        values = {field.name: getattr(op, field.name) for field in fields(op)}
        for name in _ARRAYS.get(type(op), {}):
            arrays[f"{op.out}/{name}"] = np.ascontiguousarray(values.pop(name))
        found.append(_RECORDS[type(op).__name__].model_validate(values))
    return found, arrays


def network_of(stored: StoredNetwork, path: Path) -> IntegerNetwork:
    """The network that an artefact and its file of codes hold.

    Raises:
        InputError: the file is missing or damaged, or holds arrays of other shapes or types.
    """
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as codes ({error}); quantize again") from None
    found = []
    for record in stored.operations:
        kind = getattr(ops, record.kind)
        values = {name: getattr(record, name) for name in type(record).model_fields if name != "kind"}
        for name, dtype in _ARRAYS.get(kind, {}).items():
            array = arrays.get(f"{record.out}/{name}")
            if array is None or array.dtype != dtype:
                what = "missing" if array is None else f"of type {array.dtype}"
                raise InputError(
                    f"{path}: {record.out}/{name} is {what}; {np.dtype(dtype)} was expected; quantize again"
                )
            values[name] = array
        found.append(kind(**values))
    return IntegerNetwork(Pixels(stored.mean, stored.std), tuple(found))
